"""Runs the work for one client in order, one piece at a time. The number that waits is bounded."""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import Any, TypeAlias

from asgi_realtime.limits import Limits
from asgi_realtime.runtime.coroutines import run_in_context
from asgi_realtime.runtime.tasks import Tasks

Pending: TypeAlias = Coroutine[Any, Any, None] | None
"""The rest of the work, to be awaited. None: the work has ended."""


class Inbox:
    """Runs a client's work in order, each piece in its own context. An idle inbox has no task and no queue.

    A piece of work is a function. It runs until it must wait, and returns the rest to be awaited.
    """

    __slots__ = ("_limits", "_queue", "_room", "_tasks", "busy", "refilled_at")

    def __init__(self, tasks: Tasks, limits: Limits) -> None:
        self._tasks = tasks
        self._limits = limits
        self.busy = False
        """Whether work has begun or is queued. More work is then queued behind it."""
        self._queue: deque[tuple[Callable[[], Pending], Context]] | None = None
        self._room: asyncio.Future[None] | None = None
        self.refilled_at = 0.0
        """The state of this client's token bucket. See `EventRates`."""

    @property
    def full(self) -> bool:
        """Whether the transport should stop reading until `ready`."""
        queue = self._queue
        return queue is not None and len(queue) >= self._limits.events_in_flight

    @property
    def waiting(self) -> int:
        """How many pieces of work have not begun."""
        queue = self._queue
        return 0 if queue is None else len(queue)

    async def ready(self) -> None:
        """Wait until the inbox is not full, or `wake` is called."""
        if self.full:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)

    def begin(self, work: Callable[..., Pending], *arguments: Any) -> bool:
        """Run work now until its first wait, or queue it behind earlier work. Returns True if the inbox is now full.

        The work runs as a standby task, which resumes it if it must wait. See `standby_task`.
        """
        if self.busy:
            return self._put(functools.partial(work, *arguments))
        self.busy = True
        begun = False
        try:
            begun = self._tasks.standby.begin(self, work, arguments)
        finally:
            if not begun:
                if self._queue is None:
                    self.busy = False
                else:
                    self._start()
        return False

    def submit(self, work: Callable[[], Pending]) -> bool:
        """Queue work behind earlier work. It never runs within this call. Returns True if the inbox is now full."""
        full = self._put(work)
        if not self.busy:
            self._start()
        return full

    def clear(self) -> None:
        """Drop the work that has not begun."""
        if self._queue is not None:
            self._queue.clear()
        self.wake()

    def _put(self, work: Callable[[], Pending]) -> bool:
        queue = self._queue
        if queue is None:
            self._queue = queue = deque()
        queue.append((work, copy_context()))
        return len(queue) >= self._limits.events_in_flight

    def _start(self) -> None:
        self.busy = True
        self._tasks.standby.start(self.serve(None, None))

    async def serve(self, rest: Pending, context: Context | None) -> None:
        """Await the rest of work that has begun, then do the queued work. Runs in a standby task."""
        try:
            while True:
                if rest is not None and context is not None:
                    await run_in_context(context, rest)
                if not self._queue:
                    return
                work, context = self._queue.popleft()
                if self._room is not None and not self.full:
                    self.wake()
                rest = None
                try:
                    rest = context.run(work)
                except Exception as error:
                    self._tasks.failures.failed(None, "work of a connection failed", error)
        finally:
            self.busy = False
            if self._queue and not self._tasks.closing:
                self._start()  # one piece of work was cancelled; the later ones were not
            else:
                self._queue = None
            if not self.full:
                self.wake()

    def wake(self) -> None:
        """End every wait of `ready`."""
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)
