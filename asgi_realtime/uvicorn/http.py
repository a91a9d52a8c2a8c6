"""HTTP under uvicorn with a deadline for the header of a request."""

from __future__ import annotations

import asyncio
import math
from typing import Any, ClassVar

from uvicorn.config import Config
from uvicorn.protocols.http.auto import AutoHTTPProtocol
from uvicorn.server import ServerState

from asgi_realtime.runtime.timers import WeakOwner
from asgi_realtime.uvicorn.protocol import WebSocketProtocol
from asgi_realtime.uvicorn.server_context import ServerContext


class HeaderDeadline(asyncio.Protocol):
    """Adds a deadline for headers to one of uvicorn's two HTTP protocol classes: see `HTTPProtocol`."""

    header_timeout: ClassVar[float] = 10.0
    """Seconds a client may take to send the header of a request. Over: its connection is closed."""

    config: Config
    server_state: ServerState
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        protocol = WebSocketProtocol
        shortest = min(
            self.header_timeout, protocol.handshake_timeout, protocol.close_timeout, protocol.shutdown_timeout
        )
        self._wheel = ServerContext.of(self.config, self.server_state, shortest).wheel
        self._header_by = math.inf
        self._scheduled = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a new connection."""
        super().connection_made(transport)
        self._expect_header()

    def data_received(self, data: bytes) -> None:
        """Take bytes of a request."""
        before = self.cycle
        between = before is None or before.response_complete
        super().data_received(data)
        if self.cycle is not before:
            self._header_by = math.inf  # it is whole
        elif between and self._header_by == math.inf and self.transport.get_protocol() is self:
            self._expect_header()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is over."""
        self._header_by = math.inf
        super().connection_lost(exc)

    def _expect_header(self) -> None:
        self._header_by = self.loop.time() + self.header_timeout
        if not self._scheduled:
            self._scheduled = True
            self._wheel.schedule(self._header_by, WeakOwner(self, HeaderDeadline.on_header_deadline))

    def on_header_deadline(self, now: float) -> float | None:
        """Close the connection if its header is late. Returns when to look again."""
        self._scheduled = now < self._header_by < math.inf and self.transport.get_protocol() is self
        if self._scheduled:
            return self._header_by
        if self._header_by <= now and self.transport.get_protocol() is self:
            self.transport.close()
        return None


class HTTPProtocol(HeaderDeadline, AutoHTTPProtocol):  # type: ignore[misc, valid-type]
    """uvicorn's own HTTP (httptools where it is installed, else h11), but a client that sends no header is cut off.

    uvicorn waits without a limit for the first byte of a connection, and for the rest of a header. Here
    the first header must be whole within `header_timeout` of the connection, a later one within
    `header_timeout` of its first byte; between two requests `--timeout-keep-alive` counts.
    """
