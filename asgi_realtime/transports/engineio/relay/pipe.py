"""One end of a relay: events in order, in both directions, with a limit on what is in flight. No I/O."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple

WINDOW: Final = 262_144
"""Bytes of one relay and direction that may be in flight: sent, and not taken by the other end. Over: `send` waits."""
PART: Final = 65_536
"""Most bytes of an event in one message. Larger events are sent in parts, so that Redis serves others in between."""
OVERHEAD: Final = 64
"""Bytes that each message counts in addition to its data, so that empty messages have a limit too."""
_CREDIT: Final = WINDOW // 4
"""Bytes after which the other end gets credit: short relays need none."""
_CUT: Final = ""
"""The kind of a part that only ends an event whose `send` was cancelled after some of its parts."""


class Event(NamedTuple):
    """An event: its kind (see `messages`) and its data."""

    kind: str
    data: bytes


class PipeEnded(OSError):
    """The relay has ended. As an ASGI server's `send`, that of a relay raises an `OSError` then."""


class Pipe:
    """One end of a relay. The two ends call each other's `part`, `credit` and `ended` by messages.

    Args:
        part: sends a part of an event to the other end: its kind, data, and whether more parts follow.
        credit: sends credit to the other end.
        largest: bytes of the largest event that is received. Over: `part` raises.
    """

    __slots__ = (
        "_credit",
        "_in_flight",
        "_largest",
        "_part",
        "_partial",
        "_partial_kind",
        "_queue",
        "_queued",
        "_taken",
        "_waiting",
        "on_change",
        "on_leave",
        "on_upgraded",
        "on_undelivered",
        "upgraded",
    )

    def __init__(
        self, *, part: Callable[[str, bytes, bool], None], credit: Callable[[int], None], largest: int
    ) -> None:
        self._part = part
        self._credit = credit
        self._largest = largest
        self._in_flight = 0
        self._queue: deque[tuple[Event, int] | None] = deque()
        self._queued = 0  # bytes of complete events
        self._partial = bytearray()
        self._partial_kind = _CUT
        self._taken = 0  # bytes that no credit was sent for
        self._waiting: set[asyncio.Future[None]] = set()
        self.on_change: Callable[[], None] | None = None
        """Called when an event has come, and when the relay has ended."""
        self.on_undelivered: Callable[[], None] | None = None
        """Called if something that was sent did not reach the other end."""
        self.on_leave: Callable[[], None] | None = None
        """Called when the other end stops soon, and needs an answer before."""
        self.upgraded = False
        """Whether the client of a WebSocket has completed its upgrade."""
        self.on_upgraded: Callable[[], None] | None = None
        """Called when it has."""

    @property
    def over(self) -> bool:
        """Whether the relay has ended. Events that came before may still be there."""
        return bool(self._queue) and self._queue[-1] is None

    async def send(self, kind: str, data: bytes) -> None:
        """Send an event. Waits while too much is in flight. If it is cancelled, the other end does not get the event.

        Raises:
            PipeEnded: the relay has ended.
        """
        for start in range(0, len(data) or 1, PART):
            piece = data[start : start + PART]
            try:
                while self._in_flight > 0 and self._in_flight + len(piece) + OVERHEAD > WINDOW and not self.over:
                    await self._change()
            except asyncio.CancelledError:
                if start and not self.over:
                    self._send_part(_CUT, b"", True)
                raise
            if self.over:
                raise PipeEnded("the relay has ended")
            self._send_part(kind, piece, start + PART < len(data))

    def _send_part(self, kind: str, data: bytes, more: bool) -> None:
        self._in_flight += len(data) + OVERHEAD
        self._part(kind, data, more)

    async def receive(self) -> Event | None:
        """The next event. None: the relay has ended."""
        while not self._queue:
            await self._change()
        item = self._queue[0]
        if item is None:
            return None
        self._queue.popleft()
        event, size = item
        self._queued -= size
        self._take(size)
        return event

    def receive_part(self, kind: str, data: bytes, more: bool) -> None:
        """A part has come. If it has another kind than the parts before it, their event is dropped.

        Raises:
            ValueError: an event is too large, or the other end does not keep to the window.
        """
        if self.over:
            return
        if kind != self._partial_kind:
            self._partial, self._partial_kind = bytearray(), kind
        if len(self._partial) + len(data) > self._largest or self._queued > WINDOW + self._largest:
            raise ValueError("a relayed event is too large")
        size = len(data) + OVERHEAD
        if more:
            self._partial += data
            self._take(size)  # until it is whole it does not wait for the reader
            return
        if self._partial:
            self._partial += data
            data, self._partial = bytes(self._partial), bytearray()
        self._queue.append((Event(kind, data), size))
        self._queued += size
        self._wake()

    def receive_credit(self, size: int) -> None:
        """The other end has taken this many bytes."""
        self._in_flight = max(0, self._in_flight - size)
        self._wake()

    def end(self) -> None:
        """The relay has ended. What has come is still received."""
        if not self.over:
            self._queue.append(None)
            self._wake()

    def _take(self, size: int) -> None:
        self._taken += size
        if self._taken >= _CREDIT and not self.over:
            taken, self._taken = self._taken, 0
            self._credit(taken)

    async def _change(self) -> None:
        """Wait until something has come. Two tasks may wait at the same time: one sends, and one receives."""
        change = asyncio.get_running_loop().create_future()
        self._waiting.add(change)
        try:
            await change
        finally:
            self._waiting.discard(change)

    def _wake(self) -> None:
        for change in self._waiting:
            if not change.done():
                change.set_result(None)
        if self.on_change is not None and self._queue:
            self.on_change()
