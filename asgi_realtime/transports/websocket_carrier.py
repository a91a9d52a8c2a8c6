"""One accepted WebSocket: reads it for a `WebSocketReader`, writes the reader's outbox to it, and ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from time import monotonic
from typing import TypeVar

from starlette.types import Receive, Send

from asgi_realtime.errors import ProtocolError
from asgi_realtime.limits import Limits
from asgi_realtime.outbound.asgi_writer import Writer
from asgi_realtime.outbound.frame_writer import FrameWriter
from asgi_realtime.outbound.frames_extension import FrameTransport
from asgi_realtime.outbound.stock.read_guard import guard_reading
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.fair_turns import Turn
from asgi_realtime.runtime.interrupt import Interrupt
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.transports.websocket_reader import WebSocketReader
from asgi_realtime.values.text import is_longer

T = TypeVar("T")


class CarrierOptions:
    """What the WebSockets of one endpoint share."""

    __slots__ = ("control", "fast_writes", "small", "tasks")

    def __init__(self, limits: Limits, *, fast_writes: bool, control: Budget, tasks: Tasks) -> None:
        """Collect the options.

        Args:
            limits: those of the readers.
            fast_writes: whether to use the extension `asgi_realtime.frames`.
            control: the budget of frames that carry no message, where the server does not count them itself.
            tasks: owns what has to wait beside the server's task.
        """
        self.small = min(limits.message_bytes, limits.handshake_bytes) // 4
        """Characters that are under each limit, whatever they take in UTF-8."""
        self.fast_writes = fast_writes
        self.control = control
        self.tasks = tasks


class WebSocketCarrier:
    """One accepted WebSocket, under Engine.IO and JSON gateways alike.

    On a server with the extension `asgi_realtime.frames` it is read by callbacks, and costs no task once its client
    is authenticated. On other servers a loop reads it in the server's own task. Both pass each message to `received`.
    """

    __slots__ = ("_ending", "_interrupt", "_options", "_read_guard", "_reader", "_receive", "_writer")

    def __init__(
        self,
        reader: WebSocketReader,
        receive: Receive,
        send: Send,
        options: CarrierOptions,
        frames: FrameTransport | None,
    ) -> None:
        """Carry a WebSocket that the server has accepted.

        Args:
            reader: takes the messages. Its `outbox` is written.
            receive: ASGI's.
            send: ASGI's.
            options: what it shares with others.
            frames: what the server offers (see `outbound.frame_writer.offered`).
        """
        self._reader = reader
        self._receive: Receive | None = receive
        self._options = options
        self._ending = False
        self._interrupt: Interrupt | None = Interrupt()
        self._writer: FrameWriter | Writer = (
            FrameWriter(reader.outbox, frames)
            if frames is not None and options.fast_writes
            else Writer(reader.outbox, send, tasks=options.tasks, lost=self.end, frames=frames)
        )
        self._read_guard = guard_reading(receive, send, options.control, reader.too_much) if frames is None else None

    # Before it is served

    async def run(self, waiting: Awaitable[T]) -> T | None:
        """Wait for something; None if `end` is called first."""
        assert self._interrupt is not None
        return await self._interrupt.run(waiting)

    async def next_text(self) -> str | None:
        """Wait for the next message. None: it is no text, or the client is gone."""
        assert self._receive is not None
        event = await self._receive()
        self._writer.gone = event["type"] == "websocket.disconnect"
        text: str | None = event.get("text")
        return text

    @property
    def gone(self) -> bool:
        """Whether the client is gone."""
        return self._writer.gone

    @gone.setter
    def gone(self, gone: bool) -> None:
        self._writer.gone = gone

    @property
    def text_reader(self) -> WebSocketReader:
        """What takes texts that need no `received`. See `TextReader`."""
        return self._reader

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Close a WebSocket that is not going to be served."""
        await self._writer.close(code, reason)
        if self._read_guard is not None:
            self._read_guard.end()

    # Reading

    async def serve(self) -> None:
        """Carry the WebSocket to its end, or until the server calls back for each message."""
        self._writer.start()
        try:
            if not self._ending and not self._detach():
                assert self._interrupt is not None
                await self._interrupt.run(self._read())
        except BaseException:
            self._release()
            raise
        if self._interrupt is not None:  # not detached
            self._ending = True
            await self._conclude()

    async def _read(self) -> None:
        """Pass on one message after the other, until the end or until the server's callbacks take over."""
        reader, receive, turn, full = self._reader, self._receive, Turn(), True
        assert receive is not None
        while not self._ending:
            if full:
                await reader.ready()
                if self._detach():
                    return
            event = await receive()
            if event["type"] == "websocket.disconnect":
                self._writer.gone = True
                return
            text = event.get("text")
            begun = monotonic()
            full = self.received(bytes(event["bytes"]) if text is None else text)
            if not full and turn.used(monotonic() - begun):
                await asyncio.sleep(0)  # a server that has more messages does not wait by itself

    def _detach(self) -> bool:
        """Leave the server's task, if it can: from then on the server calls `received` and `websocket_closed`."""
        writer = self._writer
        if self._ending or self._reader.authenticating or not isinstance(writer, FrameWriter):
            return False
        self._interrupt = self._receive = None  # before `detach`, which may deliver messages that end the WebSocket
        writer.transport.detach(self)
        return True

    def received(self, message: str | bytes) -> bool:
        """Take one message. True: no more before the reader is ready."""
        reader = self._reader
        try:
            if len(message) <= self._options.small or not _is_longer(message, reader.message_bytes):
                full = reader.receive(message, time_source.monotonic())
                if full and self._receive is None and not self._ending:
                    self._pause()
                return full
            reader.too_large(message)
        except ProtocolError as error:
            reader.violated(error)
        except Exception as error:
            self._options.tasks.failures.failed(None, "an application failed to receive", error)
            reader.failed()
        return False

    def _pause(self) -> None:
        """Let the server call back no more until the reader is ready."""
        assert isinstance(self._writer, FrameWriter)
        transport = self._writer.transport
        transport.pause()
        self._options.tasks.spawn(self._resume(transport), name="wait of a reader")

    async def _resume(self, transport: FrameTransport) -> None:
        await self._reader.ready()
        transport.resume()

    # The end

    def end(self) -> None:
        """End the WebSocket as the reader's `begin_close` says. The second and later calls do nothing."""
        if not self._ending:
            self._ending = True
            if self._interrupt is not None:
                self._interrupt()
            else:
                self._options.tasks.spawn(self._conclude(), name="end of a WebSocket")

    def websocket_closed(self, code: int, reason: str) -> None:
        """The server has closed the WebSocket, or lost the client."""
        self._writer.client_lost()
        if not self._ending:  # else `_conclude` does it
            self._release()

    async def _conclude(self) -> None:
        try:
            if not self._writer.gone:
                code, reason, flush = self._reader.begin_close()
                await self._writer.finish(code, reason, flush=flush)
        finally:
            self._release()

    def _release(self) -> None:
        self._ending = True
        if self._read_guard is not None:
            self._read_guard.end()
        self._writer.stop()
        self._reader.websocket_ended()


def _is_longer(message: str | bytes, limit: int) -> bool:
    return is_longer(message, limit) if isinstance(message, str) else len(message) > limit
