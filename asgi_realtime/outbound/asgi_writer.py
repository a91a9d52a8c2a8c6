"""Writes an outbox through ASGI `send`, by a task that exists while frames wait."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from starlette.types import Send

from asgi_realtime.outbound.frame_writer import FLUSH_SECONDS, DrainWait
from asgi_realtime.outbound.frames_extension import FrameTransport
from asgi_realtime.outbound.outbox import WRITE_BYTES, Outbox
from asgi_realtime.outbound.stock.hypercorn import hypercorn_stream
from asgi_realtime.protocols.rfc6455.frames import shorten
from asgi_realtime.runtime.tasks import Tasks


class Writer:
    """Writes one client's outbox to its accepted WebSocket.

    `lost` is called when `send` shows that the client is gone. No task runs while nothing waits. A
    server with the extension has a writer of its own (see `frame_writer`), unless that is turned
    off. Then `frames` shows whether a client has read its close.
    """

    __slots__ = (
        "_frames",
        "_lost",
        "_outbox",
        "_send",
        "_task",
        "_tasks",
        "gone",
    )

    def __init__(
        self,
        outbox: Outbox,
        send: Send,
        *,
        tasks: Tasks,
        lost: Callable[[], None],
        frames: FrameTransport | None = None,
    ) -> None:
        self._outbox = outbox
        self._send = send
        self._tasks = tasks
        self._lost: Callable[[], None] | None = lost
        self._task: asyncio.Task[None] | None = None
        self._frames = frames
        self.gone = False
        """Whether the client is gone. Set by the reader, too."""

    def start(self) -> None:
        """Write what waits, and whatever is pushed from now on."""
        if self._outbox:
            self._run()
        else:
            self._outbox.wake = self._run

    def client_lost(self) -> None:
        """The client is gone."""
        self.gone = True

    def stop(self) -> None:
        """Write nothing more."""
        self._outbox.wake = self._lost = None
        if self._task is not None:
            self._task.cancel()

    async def finish(self, code: int, reason: str, *, flush: bool) -> None:
        """Write what is queued (if `flush`), then the close. A client that does not read it in time is cut."""
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                if self._task is not None:
                    if not flush:
                        self._task.cancel()
                    await asyncio.wait([self._task])
                if flush:
                    await self._write()
        except TimeoutError:
            self._cut()
            return
        self._outbox.wake = None
        await self.close(code, reason)

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Write the close. A client that does not read it within `FLUSH_SECONDS` is cut."""
        self._lost = None  # it leads back to this object: no reference cycle stays behind
        if self.gone:
            return
        try:
            async with asyncio.timeout(FLUSH_SECONDS):
                await self._send({"type": "websocket.close", "code": code, "reason": shorten(reason)})
                if self._frames is not None:
                    await _drained(self._frames)
        except TimeoutError:
            self._cut()
        except Exception:  # each server raises errors of its own when the client is gone
            self.gone = True

    def _run(self) -> None:
        self._outbox.wake = None
        self._task = self._tasks.spawn(self._write(), name="writer")

    def _cut(self) -> None:
        """Abort the connection of a client that does not read.

        ASGI's close waits until the client has read what is buffered. So the server's transport is
        aborted, on the servers where it can be reached.
        """
        transport = (
            self._frames
            or hypercorn_stream(self._send)
            or getattr(getattr(self._send, "__self__", None), "transport", None)
        )
        abort = getattr(transport, "abort", None)
        if callable(abort):
            abort()

    async def _write(self) -> None:
        outbox = self._outbox
        try:
            while frames := outbox.take(WRITE_BYTES):
                for frame in frames:
                    for event in frame.asgi:
                        await self._send(event)
        except Exception:  # as in `close`
            self.gone = True
            if self._lost is not None:
                self._lost()
        else:
            outbox.wake = self._run
        finally:
            self._task = None


async def _drained(frames: FrameTransport) -> None:
    """Wait until the kernel has everything: `send` returns while some bytes are still buffered."""
    if frames.buffered:
        wait = DrainWait(frames)
        try:
            await wait.over()
        finally:
            frames.listener = None
