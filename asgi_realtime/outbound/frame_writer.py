"""Writes whole frames to the server's transport, past ASGI `send` and in order with the server's own frames."""

from __future__ import annotations

import asyncio
from typing import Protocol

from starlette.types import Scope

from asgi_realtime.outbound.frames_extension import EXTENSION, FrameTransport, WriteListener
from asgi_realtime.outbound.outbox import WRITE_BYTES, Outbox
from asgi_realtime.outbound.sink import Sink
from asgi_realtime.runtime.budgets import Budget

FLUSH_SECONDS = 0.5
"""Seconds a client may take to read what is queued for it when its connection is closed."""


class Writable(Sink, Protocol):
    """The part of a `FrameTransport` that writing needs."""

    listener: WriteListener | None
    """See `FrameTransport`, here and below."""

    @property
    def is_open(self) -> bool:
        """Whether frames may be written."""

    @property
    def buffered(self) -> int:
        """Bytes that the kernel has not taken."""


def offered(scope: Scope, *, compression: bool, message_bytes: int, control: Budget) -> FrameTransport | None:
    """The server's `FrameTransport` of a WebSocket that is not accepted yet. None: it lacks the extension.

    `compression`: whether to agree to it. If so, no message is read or inflated beyond `message_bytes`. If not, up to
    twice as much is read, so that a client that sends a little too much gets an answer in its dialect.
    `control`: how many frames without a message the client may send.
    """
    transport: FrameTransport | None = (scope.get("extensions") or {}).get(EXTENSION)
    if transport is not None:
        transport.control = control
        if compression:
            transport.deflate = True
        largest = message_bytes if compression else 2 * message_bytes
        transport.max_message_bytes = min(transport.max_message_bytes, largest)
    return transport


class FrameWriting:
    """Lets an outbox write straight to a transport, as long as the kernel takes everything.

    Frames that the kernel does not take wait in the outbox, under its limit, until the server calls
    `resume_writing`. No task runs until then.
    """

    __slots__ = ("_outbox", "transport")

    def __init__(self, outbox: Outbox, transport: Writable) -> None:
        self._outbox = outbox
        self.transport = transport

    def start(self) -> None:
        """Write what waits, and whatever is pushed from now on."""
        self.transport.listener = self
        self.resume_writing()

    def stop(self) -> None:
        """Write nothing more this way."""
        self.transport.listener = None
        self.pause_writing()

    def pause_writing(self) -> None:
        """The kernel has not taken everything: keep what comes."""
        self._outbox.set_sink(None)

    def resume_writing(self) -> None:
        """The kernel has taken everything: write what waits, and again what comes."""
        transport, outbox = self.transport, self._outbox
        while transport.is_open and not transport.buffered:
            frames = outbox.take(WRITE_BYTES)
            if not frames:
                outbox.set_sink(transport)
                return
            wire = [frame.deflated for frame in frames] if transport.deflate else [frame.wire for frame in frames]
            transport.write(b"".join(wire))


class DrainWait:
    """Waits until the kernel has everything. The transport's own listener is called when the wait is over."""

    __slots__ = ("_drained", "_listener", "_transport")

    def __init__(self, transport: Writable) -> None:
        self._transport = transport
        self._listener = transport.listener
        self._drained = asyncio.Event()
        transport.listener = self

    def pause_writing(self) -> None:
        """Pass the call on to the transport's own listener."""
        if self._listener is not None:
            self._listener.pause_writing()

    def resume_writing(self) -> None:
        """The kernel has everything."""
        self._drained.set()

    end = resume_writing
    """There is nothing more to wait for."""

    async def over(self) -> None:
        """Wait."""
        await self._drained.wait()
        self._transport.listener = self._listener
        if self._listener is not None:
            self._listener.resume_writing()


class FrameWriter(FrameWriting):
    """The writer of a WebSocket whose server has the extension. It needs no `send` and no task."""

    __slots__ = ("_wait", "gone")

    transport: FrameTransport

    def __init__(self, outbox: Outbox, frames: FrameTransport) -> None:
        super().__init__(outbox, frames)
        self._wait: DrainWait | None = None
        self.gone = False
        """Whether the client is gone. Set by `client_lost`."""

    def client_lost(self) -> None:
        """The client is gone: end every wait for it."""
        self.gone = True
        if self._wait is not None:
            self._wait.end()

    async def finish(self, code: int, reason: str, *, flush: bool) -> None:
        """Write what is queued (if `flush`), then the close. A client that does not read it in time is cut."""
        if flush and not await self._emptied():
            self.transport.abort()
            return
        self.stop()
        await self.close(code, reason)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Write the close. A client that does not read it within `FLUSH_SECONDS` is cut."""
        self.transport.close(code, reason)
        if not await self._emptied():
            self.transport.abort()

    async def _emptied(self) -> bool:
        """Wait until the kernel has everything, or the client is gone. False: it takes too long."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                while self.transport.buffered and not self.gone:
                    self._wait = DrainWait(self.transport)
                    await self._wait.over()
        except TimeoutError:
            return False
        return True
