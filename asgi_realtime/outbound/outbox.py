"""Frames that wait to be written to one client, bounded in bytes."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from asgi_realtime.outbound.sink import Sink, SinkListener
from asgi_realtime.protocols.frame import Frame

WRITE_BYTES: Final = 65_536
"""Bytes joined into one write, or taken from an outbox at a time. So much may wait beyond an outbox's limit."""


class OutboxOwner(Protocol):
    """The client's session. It ends a client that reads too slowly."""

    def overflowed(self) -> None:
        """The client is too slow: the outbox is sealed."""


class Outbox:
    """Frames for one client, first in, first out.

    `push` never waits and never raises, because the fan-out calls it for each recipient without a sink.
    When more than `limit` bytes wait, the client reads too slowly. Then the outbox is sealed, drops its frames, and
    calls `overflowed`. A frame larger than the limit is accepted while nothing else waits: the limit bounds the
    backlog, not the size of one broadcast.
    """

    __slots__ = ("_frames", "_limit", "_owner", "sink", "sink_listener", "size", "wake")

    def __init__(self, limit: int, owner: OutboxOwner) -> None:
        self._frames: deque[Frame] | None = None  # made when a frame has to wait: a deque takes 760 bytes
        self._limit = limit  # -1 once it is sealed: one value says both
        self._owner: OutboxOwner | None = owner
        self.size = 0
        """Bytes waiting."""
        self.sink: Sink | None = None
        """Where wire bytes may be written at once: nothing waits here. Changed by `set_sink` alone."""
        self.sink_listener: SinkListener | None = None
        """Called each time `sink` has changed. See `outbound.sink`."""
        self.wake: Callable[[], None] | None = None
        """Called after each push while a transport waits for frames; the transport sets and clears it."""

    @property
    def sealed(self) -> bool:
        """Whether it accepts nothing more."""
        return self._limit < 0

    def __len__(self) -> int:
        return 0 if self._frames is None else len(self._frames)

    def has_room(self, frame: Frame) -> bool:
        """Whether `push` would write or keep a frame. False: it would close the outbox, or it is sealed."""
        if self.sink is not None:
            return True
        return self._limit >= 0 and (not self._frames or self.size + frame.size <= self._limit)

    def push(self, frame: Frame) -> None:
        """Write a frame to the sink, or append it. Closes the outbox of a client that is too slow. Sealed: drops it."""
        if self.sink is not None:
            self.sink.write(frame.wire)
            return
        if self._limit < 0:
            return
        size = self.size + frame.size
        if size > self._limit and self._frames:
            owner = self._owner
            self.close()
            if owner is not None:
                owner.overflowed()
            return
        self.size = size
        if self._frames is None:
            self._frames = deque()
        self._frames.append(frame)
        if self.wake is not None:
            self.wake()

    def set_sink(self, sink: Sink | None) -> None:
        """Write frames to `sink` from now on, or keep them here (None). Called by the writer, while nothing waits."""
        self.sink = None if self.sealed else sink
        if self.sink_listener is not None:
            self.sink_listener.sink_changed()

    def take(self, limit: int | None = None) -> list[Frame]:
        """Remove and return the first frames: all, or at least one and at most `limit` bytes."""
        waiting = self._frames
        if waiting is None:
            return []
        if limit is None or self.size <= limit:
            self._frames, self.size = None, 0
            return list(waiting)
        frames = [waiting.popleft()]
        taken = frames[0].size
        while waiting and taken + waiting[0].size <= limit:
            frames.append(waiting.popleft())
            taken += frames[-1].size
        self.size -= taken
        if not waiting:
            self._frames = None
        return frames

    @property
    def behind(self) -> bool:
        """Whether more than half of the limit waits, so that volatile events should be dropped."""
        return self.size * 2 > self._limit >= 0

    def seal(self) -> None:
        """Accept nothing more. What waits can still be taken."""
        self._limit = -1
        self.set_sink(None)

    def close(self) -> None:
        """Accept nothing more, and drop what waits."""
        self.seal()
        self._owner = self.sink_listener = None  # they refer to this outbox, and no reference cycle may remain
        self._frames, self.size = None, 0
