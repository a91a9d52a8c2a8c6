"""Protocol classes for uvicorn.

`--ws asgi_realtime.uvicorn:WebSocketProtocol`: WebSockets, small and fast.
`--http asgi_realtime.uvicorn:HTTPProtocol`: uvicorn's own HTTP with a deadline for headers.
"""

from asgi_realtime.uvicorn.http import HTTPProtocol
from asgi_realtime.uvicorn.protocol import WebSocketProtocol

__all__ = ["HTTPProtocol", "WebSocketProtocol"]
