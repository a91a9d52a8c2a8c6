"""One client's events: in order, one at a time, a bounded number waiting."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from asgi_realtime.limits import Limits, TokenBucket
from asgi_realtime.tasks import Tasks

Work: TypeAlias = Callable[[], Awaitable[None]]


class Inbox:
    """Runs work in the order it came. An idle inbox owns no task; a busy one owns one."""

    __slots__ = ("_bucket", "_limit", "_queue", "_room", "_running", "_tasks", "refused")

    def __init__(self, tasks: Tasks, limits: Limits, now: float) -> None:
        self._tasks = tasks
        self._limit = limits.events_in_flight
        self._bucket = TokenBucket(limits.event_rate, limits.event_burst, now)
        self._queue: deque[Work] = deque()
        self._running = False
        self._room: asyncio.Future[None] | None = None
        self.refused = 0
        """Events refused for their number since one was accepted, as the gateway counts them."""

    def admits(self, now: float) -> bool:
        """Whether one more event is within the connection's rate."""
        return self._bucket.take(now)

    @property
    def full(self) -> bool:
        """Whether the transport should stop reading until `ready`."""
        return len(self._queue) >= self._limit

    async def ready(self) -> None:
        """Wait until the inbox is not full."""
        while self.full:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def submit(self, work: Work) -> None:
        """Run this after everything submitted before. `work` handles its own errors."""
        self._queue.append(work)
        if not self._running:
            self._running = True
            self._tasks.spawn(self._run(), name="events of a connection")

    def clear(self) -> None:
        """Forget what has not begun."""
        self._queue.clear()
        self._wake()

    async def _run(self) -> None:
        try:
            while self._queue:
                work = self._queue.popleft()
                if self._room is not None and not self.full:
                    self._wake()
                await work()
        finally:
            self._running = False

    def _wake(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
