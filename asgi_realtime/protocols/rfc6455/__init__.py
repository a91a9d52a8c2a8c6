"""RFC 6455 (WebSocket), the server's side, without I/O.

`handshake` parses the opening request and makes the responses. `parser` decodes the frames of a client. `frames`
encodes the frames of the server.
"""

from asgi_realtime.protocols.rfc6455.frames import encode
from asgi_realtime.protocols.rfc6455.parser import Close, FrameError, Parser, Ping, Pong

__all__ = ["Close", "FrameError", "Parser", "Ping", "Pong", "encode"]
