"""Writing past ASGI `send` through the scope extension `asgi_realtime.frames`."""

from __future__ import annotations

from starlette.types import Scope

from asgi_realtime.frame_transport import EXTENSION, FrameTransport
from asgi_realtime.outbox import Outbox

_BATCH_BYTES = 65_536
"""What is written at a time when the kernel has room again."""


def offered(scope: Scope) -> FrameTransport | None:
    """What the server offers for this WebSocket, if it has the extension."""
    transport: FrameTransport | None = (scope.get("extensions") or {}).get(EXTENSION)
    return transport


class FrameWriting:
    """Lets an outbox write straight to the server's transport, as long as the kernel takes it all.

    What the kernel does not take waits in the outbox, under its limit, until the server says that
    there is room again. Nothing runs meanwhile.
    """

    __slots__ = ("_outbox", "_transport")

    def __init__(self, outbox: Outbox, transport: FrameTransport) -> None:
        self._outbox = outbox
        self._transport = transport

    def start(self) -> None:
        """Write what waits, and whatever is pushed from now on."""
        self._transport.on_drained = self._drain
        if not self._transport.buffered:
            self._drain()

    def stop(self) -> None:
        """Write nothing more this way."""
        self._outbox.direct = None
        self._transport.on_drained = None

    def _drain(self) -> None:
        while not self._transport.buffered:
            frames = self._outbox.take(_BATCH_BYTES)
            if not frames:
                self._outbox.direct = self._write
                return
            self._transport.write(b"".join([frame.wire for frame in frames]))

    def _write(self, wire: bytes) -> None:
        self._transport.write(wire)
        if self._transport.buffered:
            self._outbox.direct = None
