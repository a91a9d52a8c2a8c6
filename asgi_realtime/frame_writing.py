"""Writing past ASGI `send`: whole frames to the server's transport, at once, in order with its own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from starlette.types import Scope

from asgi_realtime.frame_transport import EXTENSION, FrameTransport
from asgi_realtime.outbox import Outbox
from asgi_realtime.sinks import DeflatingSink, Sink

_BATCH_BYTES = 65_536
"""What is written at a time when the kernel has room again."""
FLUSH_SECONDS = 0.5
"""How long a client may take to read what is queued for it when its connection is closed."""


class Writable(Sink, Protocol):
    """What writing takes of a `FrameTransport`. Some servers offer that much without knowing it (`stock_uvicorn`)."""

    on_held: Callable[[], None] | None
    on_drained: Callable[[], None] | None

    @property
    def is_open(self) -> bool:
        """See `FrameTransport`, here and below."""

    @property
    def deflate(self) -> bool:
        """Whether compressed frames may be written."""

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken."""


def offered(scope: Scope, *, compression: bool) -> FrameTransport | None:
    """What the server offers for this WebSocket, not accepted yet, if it has the extension `asgi_realtime.frames`.

    `compression`: whether to agree to it.
    """
    transport: FrameTransport | None = (scope.get("extensions") or {}).get(EXTENSION)
    if transport is not None and compression:
        transport.deflate = True
    return transport


class FrameWriting:
    """Lets an outbox write straight to a transport, as long as the kernel takes it all.

    What the kernel does not take waits in the outbox, under its limit, until the server says that
    there is room again. Nothing runs meanwhile.
    """

    __slots__ = ("_outbox", "_transport")

    def __init__(self, outbox: Outbox, transport: Writable) -> None:
        self._outbox = outbox
        self._transport = transport

    def start(self) -> None:
        """Write what waits, and whatever is pushed from now on."""
        self._transport.on_held = self._hold
        self._transport.on_drained = self._drain
        self._drain()

    def stop(self) -> None:
        """Write nothing more this way."""
        self._transport.on_held = self._transport.on_drained = None
        self._hold()

    def _hold(self) -> None:
        self._outbox.redirect(None)

    def _drain(self) -> None:
        transport, outbox = self._transport, self._outbox
        while transport.is_open and not transport.buffered:
            frames = outbox.take(_BATCH_BYTES)
            if not frames:
                outbox.redirect(DeflatingSink(transport) if transport.deflate else transport)
                return
            wire = [frame.deflated for frame in frames] if transport.deflate else [frame.wire for frame in frames]
            transport.write(b"".join(wire))


class FrameWriter(FrameWriting):
    """The writer of a WebSocket whose server has the extension: no `send`, no task."""

    __slots__ = ("_drained", "_frames", "gone")

    def __init__(self, outbox: Outbox, frames: FrameTransport) -> None:
        super().__init__(outbox, frames)
        self._frames = frames
        self._drained: asyncio.Event | None = None
        self.gone = False
        """Whether there is nobody to write to any more; see `lose`."""

    def lose(self) -> None:
        """The client is gone: nobody is to wait for it."""
        self.gone = True
        if self._drained is not None:
            self._drained.set()

    async def finish(self, code: int, reason: str, *, flush: bool) -> None:
        """End the WebSocket: write what is queued (if `flush`), then the close; cut a client that does not read."""
        if flush and not await self._emptied():
            self._frames.abort()
            return
        self.stop()
        await self.close(code, reason)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Write the close, for which a client has a moment; then its connection is cut."""
        self._frames.close(code, reason)
        if not await self._emptied():
            self._frames.abort()

    async def _emptied(self) -> bool:
        """Wait until the kernel has everything, or the client is gone. False: it takes too long."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                while self._frames.buffered and not self.gone:
                    self._drained = asyncio.Event()
                    drain = self._frames.on_drained
                    self._frames.on_drained = self._drained.set
                    await self._drained.wait()
                    self._frames.on_drained = drain
                    if drain is not None:
                        drain()
        except TimeoutError:
            return False
        return True
