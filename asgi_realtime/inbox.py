"""One client's events: in order, one at a time, a bounded number waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from asgi_realtime.limits import Limits, TokenBucket
from asgi_realtime.tasks import Tasks

Work: TypeAlias = Callable[[], Awaitable[None] | None]
"""Does what there is to do. What has to be waited for is returned."""


class Inbox:
    """Runs work in the order it came. An idle inbox owns no task and no queue; a busy one owns one of each."""

    __slots__ = ("_bucket", "_limits", "_queue", "_room", "_tasks", "refused")

    def __init__(self, tasks: Tasks, limits: Limits) -> None:
        self._tasks = tasks
        self._limits = limits
        self._bucket: TokenBucket | None = None  # until the first event, for which it is full
        self._queue: deque[Work] | None = None
        self._room: asyncio.Future[None] | None = None
        self.refused = 0
        """Events refused for their number since one was accepted, as the gateway counts them."""

    def admits(self, now: float) -> bool:
        """Whether one more event is within the connection's rate."""
        bucket = self._bucket
        if bucket is None:
            bucket = self._bucket = TokenBucket(self._limits.event_rate, self._limits.event_burst, now)
        return bucket.take(now)

    @property
    def full(self) -> bool:
        """Whether the transport should stop reading until `ready`."""
        queue = self._queue
        return queue is not None and len(queue) >= self._limits.events_in_flight

    async def ready(self) -> None:
        """Wait until the inbox is not full."""
        while self.full:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def submit(self, work: Work) -> bool:
        """Run this after everything submitted before. `work` handles its own errors. True: now it is full."""
        queue = self._queue
        if queue is None:
            self._queue = queue = deque((work,))
            self._tasks.spawn(self._run(queue), name="events of a connection")
        else:
            queue.append(work)
        return len(queue) >= self._limits.events_in_flight

    def clear(self) -> None:
        """Forget what has not begun."""
        if self._queue is not None:
            self._queue.clear()
        self._wake()

    async def _run(self, queue: deque[Work]) -> None:
        try:
            while queue:
                work = queue.popleft()
                if self._room is not None and not self.full:
                    self._wake()
                rest = work()
                if rest is not None:
                    await rest
        finally:
            self._queue = None
            self._wake()

    def _wake(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
