"""The contract of the protocol object, for the ASGI side of a WebSocket."""

from __future__ import annotations

import asyncio
from typing import Protocol

from asgi_realtime.outbound.frames_extension import FrameTransport


class CycleTransport(FrameTransport, Protocol):
    """A WebSocket's connection, from the request to its end. It is the `FrameTransport` in the scope as well."""

    transport: asyncio.Transport
    """The connection's."""

    @property
    def lost(self) -> bool:
        """Whether the connection is closed, or is being closed."""

    @property
    def unread(self) -> int:
        """Bytes that have come and were not decoded."""

    def accept(self, response: bytes) -> None:
        """Write the answer that opens the WebSocket. Messages may come from now on."""

    def refuse(self, response: bytes, *, more: bool = False) -> None:
        """Write an HTTP response, or a part of it if `more` follows. Its end closes the connection."""

    def cycle_ended(self) -> None:
        """The ASGI coroutine has returned."""
