"""RFC 6455, the server's side, without I/O: bytes in, values out.

`handshake` reads the request that asks for a WebSocket and writes the answers, `parser` decodes
what a client sends, `frames` encodes what it is sent.
"""

from asgi_realtime.protocols.rfc6455.frames import encode
from asgi_realtime.protocols.rfc6455.parser import Close, FrameError, Parser, Ping, Pong

__all__ = ["Close", "FrameError", "Parser", "Ping", "Pong", "encode"]
