"""Limits reading on stock servers: bytes of clients are parsed in slices, and frames without a message are counted.

uvicorn parses everything that one read of the socket returned, up to 256 KiB, before other code runs. That may be tens
of thousands of empty frames. hypercorn parses up to 64 KiB at a time, and continues while more bytes are there. Neither
reports pings, pongs and fragments to the application. The server's object is found behind ASGI's `receive` or `send`
by its type. On other servers, reading is not changed.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, TypeAlias

from starlette.types import Receive, Send

from asgi_realtime.outbound.stock.uvicorn import protocol_behind
from asgi_realtime.protocols.rfc6455.frames import BINARY, CLOSE
from asgi_realtime.protocols.rfc6455.parser import SMALL_FRAGMENT
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.fair_turns import SECONDS_A_TURN

_SLICE: Final = 1024
"""Bytes that are parsed between two readings of the clock: at most 170 frames."""
_LARGEST_SLICE: Final = 65_536
"""Largest slice. Slices grow while they are parsed quickly, as parts of large messages are."""
_QUICK: Final = SECONDS_A_TURN / 8
_AFTER_END: Final = 262_144
"""Bytes that are still parsed after the end, to find the client's close. The rest is dropped."""

Over: TypeAlias = Callable[[], None]


def guard_reading(receive: Receive, send: Send, budget: Budget, over: Over) -> ReadGuard | None:
    """Count frames without a message on an accepted WebSocket, and parse it in slices. None: unknown server.

    `over` is called once, when the client has sent more of these frames than the budget allows. After that, its bytes
    are no longer parsed.
    """
    protocol = protocol_behind(receive)
    if protocol is not None:
        return _UvicornReadGuard(protocol, budget, over)
    module = sys.modules.get("hypercorn.protocol.ws_stream")
    stream = getattr(send, "__self__", None)
    if module is not None and type(stream) is module.WSStream:
        return _HypercornReadGuard(stream, budget, over)
    return None


class ReadGuard:
    """Counts the frames of one WebSocket that carry no message, and bounds how many bytes are parsed."""

    __slots__ = ("_budget", "_refilled_at", "_left", "_over")

    def __init__(self, budget: Budget, over: Over) -> None:
        self._budget = budget
        self._refilled_at = 0.0
        self._over: Over | None = over
        self._left = math.inf  # bytes that are still parsed

    def end(self) -> None:
        """The application has ended the WebSocket: little more is parsed, and it is not called any more."""
        self._over = None
        self._left = min(self._left, _AFTER_END)

    def _count(self) -> None:
        self._refilled_at = self._budget.consume(self._refilled_at, time.monotonic())
        if self._refilled_at == math.inf:
            self._left = 0
            over, self._over = self._over, None
            if over is not None:
                over()

    def _count_events(self, events: Iterable[Any]) -> Iterator[Any]:
        """Pass on the events that wsproto has parsed, and count them."""
        for event in events:
            name = type(event).__name__
            if name in ("TextMessage", "BytesMessage"):
                if event.frame_finished and not event.message_finished and len(event.data) < SMALL_FRAGMENT:
                    self._count()
            elif name in ("Ping", "Pong"):
                self._count()
            yield event


class _Slices:
    """How many bytes to parse next, and whether the turn is over."""

    __slots__ = ("_begun", "_until", "size")

    def __init__(self) -> None:
        self._begun = time.monotonic()
        self._until = self._begun + SECONDS_A_TURN
        self.size = _SLICE

    def used(self) -> bool:
        """Count a parsed slice. Returns True if the turn is over."""
        now = time.monotonic()
        self.size = min(2 * self.size, _LARGEST_SLICE) if now - self._begun < _QUICK else _SLICE
        self._begun = now
        return now >= self._until


class _UvicornReadGuard(ReadGuard):
    """Wraps the `data_received` of a protocol object, and its parser.

    The transport is paused while bytes wait for the next turn. uvicorn pauses and resumes it too, while its queue of
    messages is not empty. `read_paused` is set so that only one of both resumes it.
    """

    __slots__ = ("_connection", "_held", "_parsed", "_protocol", "_transport")

    def __init__(self, protocol: Any, budget: Budget, over: Over) -> None:
        super().__init__(budget, over)
        self._protocol = protocol
        self._transport: asyncio.Transport = protocol.transport
        self._held: bytes | None = None
        protocol.data_received = self._received
        self._connection: Any = protocol.conn
        if hasattr(self._connection, "events_received"):
            self._parsed: Callable[[], Any] = self._connection.events_received
            self._connection.events_received = self._frames
        else:
            self._parsed = self._connection.events
            self._connection.events = self._events
        self._transport.set_protocol(protocol)  # uvloop keeps the method that it found there

    def end(self) -> None:
        """See `ReadGuard`. For a client that exceeded its budget, the stream is ended, because no more is read."""
        super().end()
        if self._transport.is_closing():
            # Nothing more comes. Without these references both objects can be freed at once.
            self._protocol.__dict__.pop("data_received", None)
            for name in ("events_received", "events"):
                self._connection.__dict__.pop(name, None)
        elif self._refilled_at == math.inf:
            if self._transport.can_write_eof():
                self._transport.write_eof()
            else:
                self._transport.close()

    # Called instead of the protocol's method and the parser's

    def _received(self, data: bytes) -> None:
        if self._held is not None:
            self._held += data
            self._transport.pause_reading()
        elif len(data) <= _SLICE and self._left == math.inf:
            self._feed(data)
        else:
            self._parse(data)

    def _feed(self, data: bytes) -> None:
        type(self._protocol).data_received(self._protocol, data)

    def _frames(self) -> Sequence[Any]:
        """Pass on the frames that `websockets` has parsed, and count them."""
        frames: Sequence[Any] = self._parsed()
        for frame in frames:
            if frame.opcode > BINARY:
                if frame.opcode != CLOSE:
                    self._count()
            elif not frame.fin and len(frame.data) < SMALL_FRAGMENT:
                self._count()
        return frames

    def _events(self) -> Iterator[Any]:
        return self._count_events(self._parsed())

    # Slices

    def _continue(self) -> None:
        data, self._held = self._held, None
        if data is not None and not self._transport.is_closing():
            self._parse(data)
            if self._held is None:
                self._resume()

    def _parse(self, data: bytes) -> None:
        slices, at = _Slices(), 0
        while at < len(data) and self._left > 0 and not self._transport.is_closing():
            size = slices.size
            self._left -= size
            self._feed(data[at : at + size])
            at += size
            if at < len(data) and slices.used():
                self._held = data[at:]
                self._protocol.read_paused = False
                self._transport.pause_reading()
                asyncio.get_running_loop().call_soon(self._continue)
                return

    def _resume(self) -> None:
        protocol = self._protocol
        if self._left > 0 and not protocol.queue.empty():
            protocol.read_paused = True  # it resumes when the application has fetched these
        elif not self._transport.is_closing():
            self._transport.resume_reading()


class _HypercornReadGuard(ReadGuard):
    """Replaces the `handle` of a WebSocket's stream, and counts the events of its connection."""

    __slots__ = ("_connection", "_stream")

    def __init__(self, stream: Any, budget: Budget, over: Over) -> None:
        super().__init__(budget, over)
        self._stream = stream
        self._connection = stream.connection
        stream.handle = self._handle
        self._connection.events = self._events

    async def _handle(self, event: Any) -> None:
        handle = type(self._stream).handle
        data: bytes | None = getattr(event, "data", None)
        if data is None:
            await handle(self._stream, event)
            return
        slices, at = _Slices(), 0
        while at < len(data) and self._left > 0:
            size = slices.size
            self._left -= size
            await handle(self._stream, dataclasses.replace(event, data=data[at : at + size]))
            at += size
            if slices.used():
                await asyncio.sleep(0)
                slices = _Slices()

    def _events(self) -> Iterator[Any]:
        return self._count_events(type(self._connection).events(self._connection))
