"""What waits to be written to one client: bounded in bytes, pushed to without waiting."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from asgi_realtime.messages import Frame


class Outbox:
    """Frames for one client, first in, first out.

    `push` never waits and never raises: it is called once per recipient in the middle of a
    fan-out. When more than `limit` bytes wait, the client is too slow: the outbox closes, forgets
    what it holds, and calls `overflow` once. A frame larger than the limit passes while nothing
    else waits, so that the limit bounds the backlog and not the size of a single broadcast.
    """

    __slots__ = ("_frames", "_limit", "_overflow", "closed", "direct", "size", "wake")

    def __init__(self, limit: int, *, overflow: Callable[[], None]) -> None:
        self._frames: deque[Frame] = deque()
        self._limit = limit
        self._overflow: Callable[[], None] | None = overflow
        self.size = 0
        """Bytes waiting."""
        self.closed = False
        self.direct: Callable[[bytes], None] | None = None
        """Writes wire bytes at once; set by the transport while nothing waits and the kernel takes everything."""
        self.wake: Callable[[], None] | None = None
        """Called after each push while a transport waits for frames; the transport sets and clears it."""

    def __len__(self) -> int:
        return len(self._frames)

    def push(self, frame: Frame) -> None:
        """Append a frame, or close as too slow. After closing: forgets the frame."""
        if self.direct is not None:
            self.direct(frame.wire)
            return
        if self.closed:
            return
        size = self.size + frame.size
        if size > self._limit and self._frames:
            overflow = self._overflow
            self.close()
            if overflow is not None:
                overflow()
            return
        self.size = size
        self._frames.append(frame)
        if self.wake is not None:
            self.wake()

    def take(self, limit: int | None = None) -> list[Frame]:
        """Remove and return the frames in front: all, or at least one and at most `limit` bytes."""
        if limit is None or self.size <= limit:
            frames = list(self._frames)
            self._frames.clear()
            self.size = 0
            return frames
        frames = []
        taken = 0
        while self._frames and (not frames or taken + self._frames[0].size <= limit):
            frame = self._frames.popleft()
            taken += frame.size
            frames.append(frame)
        self.size -= taken
        return frames

    @property
    def behind(self) -> bool:
        """Whether so much waits that volatile events are better dropped: half of the limit."""
        return self.size * 2 > self._limit

    def close(self) -> None:
        """Take nothing more, and forget what waits."""
        self.closed = True
        self.direct = None
        self._overflow = None  # its owner owns us: whoever is done with both is done with both at once
        self._frames.clear()
        self.size = 0
