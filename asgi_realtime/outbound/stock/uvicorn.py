"""Writes whole frames past ASGI `send` on a stock uvicorn, in order with the server's own frames.

A WebSocket frame is atomic on the wire, so one may be written beside the server's state machine
between any two of its own, also where permessage-deflate was negotiated (with RSV1 clear a frame is
not compressed; RFC 7692, section 6). The protocol object is recognised behind `send` by its type.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

from starlette.types import Receive, Send

from asgi_realtime.outbound.fan_out import descriptor_of
from asgi_realtime.outbound.frames_extension import WriteListener

_PROTOCOLS = (
    ("uvicorn.protocols.websockets.websockets_sansio_impl", "WebSocketsSansIOProtocol"),
    ("uvicorn.protocols.websockets.wsproto_impl", "WSProtocol"),
)
"""Implementations that have written the 101 response when `send(accept)` returns. The deprecated one has not."""


def uvicorn_transport(send: Send) -> StockTransport | None:
    """The transport behind the ASGI `send` of an accepted WebSocket. None: the server is not known.

    Also None if a middleware of the host wraps `send`, because it may change what is sent.
    """
    protocol = protocol_behind(send)
    return None if protocol is None else StockTransport(protocol)


def protocol_behind(method: Send | Receive) -> Any:
    """The protocol object behind a `send` or `receive` of an accepted, open WebSocket. None: it is not known."""
    protocol = getattr(method, "__self__", None)
    if protocol is None:
        return None
    for module, name in _PROTOCOLS:
        loaded = sys.modules.get(module)
        if loaded is not None and type(protocol) is getattr(loaded, name, None):
            transport = getattr(protocol, "transport", None)
            if transport is not None and not transport.is_closing():
                return protocol
    return None


class StockTransport:
    """The transport of a known protocol object, as a `frame_writer.Writable`.

    It replaces the protocol's flow-control callbacks to detect when the kernel's buffer is full.
    """

    __slots__ = ("_protocol", "_transport", "descriptor", "listener")

    deflate = False
    """No compressed frames: the compression context of the server's own frames is not known here."""

    def __init__(self, protocol: Any) -> None:
        self.listener: WriteListener | None = None
        self._protocol = protocol
        self._transport: asyncio.Transport = protocol.transport
        self.descriptor = descriptor_of(self._transport)
        protocol.pause_writing = self._paused
        protocol.resume_writing = self._resumed
        protocol.connection_lost = self._lost
        # So "paused" means exactly that unsent bytes are held. asyncio's TLS takes 0 for "always too much".
        self._transport.set_write_buffer_limits(high=1 if self._transport.get_extra_info("sslcontext") else 0)

    @property
    def is_open(self) -> bool:
        """Whether the connection is."""
        return not self._transport.is_closing()

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken."""
        return self._transport.get_write_buffer_size()

    def write(self, frames: bytes) -> None:
        """Write whole frames. Does nothing once a write has failed: asyncio would log a line for each one."""
        if not self._transport.is_closing():
            self._transport.write(frames)

    def release(self) -> None:
        """Restore the protocol's own callbacks."""
        for name in ("pause_writing", "resume_writing", "connection_lost"):
            self._protocol.__dict__.pop(name, None)

    def _paused(self) -> None:
        type(self._protocol).pause_writing(self._protocol)
        if self.listener is not None:
            self.listener.pause_writing()

    def _resumed(self) -> None:
        type(self._protocol).resume_writing(self._protocol)
        if self.listener is not None:
            self.listener.resume_writing()

    def _lost(self, error: Exception | None) -> None:
        self.release()
        if self.listener is not None:
            self.listener.pause_writing()
        type(self._protocol).connection_lost(self._protocol, error)
