"""WebSockets under uvicorn, small and fast: `uvicorn --ws asgi_realtime.uvicorn:WebSocketProtocol app:app`."""

from asgi_realtime.uvicorn.protocol import WebSocketProtocol

__all__ = ["WebSocketProtocol"]
