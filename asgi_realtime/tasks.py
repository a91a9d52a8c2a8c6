"""Owners of background work: tasks that somebody notices dying, and timers that cost one handle."""

from __future__ import annotations

import asyncio
import heapq
import logging
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

logger = logging.getLogger("asgi_realtime")
T = TypeVar("T")


class Tasks:
    """Owns tasks: an exception nobody awaited is logged once, and `aclose` cancels what is left."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def __len__(self) -> int:
        return len(self._tasks)

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start a task that this object owns."""
        task = asyncio.create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("%s failed", task.get_name(), exc_info=error)

    async def idle(self) -> None:
        """Return once no task is left, those included that they start."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended, those included that they start while ending.

        An owned task may call this too; it is left out.
        """
        current = asyncio.current_task()
        while tasks := [task for task in self._tasks if task is not current]:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@types.coroutine
def go_on(work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Await what is left of a coroutine that was begun by `send(None)`, which returned `waiting`."""
    while True:
        try:
            try:
                sent = yield waiting
            except BaseException as error:  # a cancellation: the coroutine's to deal with
                waiting = work.throw(error)
            else:
                waiting = work.send(sent)
        except StopIteration as done:
            result: T = done.value
            return result


class TimerWheel:
    """Deadlines for any number of owners on one event-loop timer, `tick` seconds coarse.

    An owner is called at most one tick late and never early. Scheduling is a dictionary insert; a
    cancelled or moved deadline is forgotten by its owner (the callback finds nothing due and returns
    its next deadline, or None), so nothing is ever searched. An owner is kept alive until its
    deadline: one whose deadline is far away asks for a nearer one, and then for the next.
    """

    def __init__(self, *, tick: float) -> None:
        self.tick = tick
        self._slots: dict[int, list[Callable[[float], float | None]]] = {}
        self._order: list[int] = []  # a heap of the slots' numbers
        self._handle: asyncio.TimerHandle | None = None
        self._armed = 0
        self._passed = 0
        self._closed = False

    def schedule(self, deadline: float, due: Callable[[float], float | None]) -> None:
        """Call `due(now)` once `deadline` (the loop's clock, seconds) has passed.

        What it returns is its next deadline; None ends it.
        """
        if self._closed:
            return
        # Never into a slot that is being emptied: an owner that is always due gets one call a tick.
        slot = max(int(deadline / self.tick), self._passed) + 1
        owners = self._slots.get(slot)
        if owners is not None:
            owners.append(due)
            return
        self._slots[slot] = [due]
        heapq.heappush(self._order, slot)
        if self._handle is None or slot < self._armed:
            self._arm(slot)

    def _arm(self, slot: int) -> None:
        if self._handle is not None:
            self._handle.cancel()
        self._armed = slot
        self._handle = asyncio.get_running_loop().call_at(slot * self.tick, self._turn)

    def _turn(self) -> None:
        # The loop may call a hair early, by its clock's resolution; owners are told the time they were promised.
        now = max(asyncio.get_running_loop().time(), self._armed * self.tick)
        # The spent handle stays until the end, so that nothing is armed for each owner that goes on.
        self._passed = max(int(now / self.tick), self._armed)
        while self._order and self._order[0] <= self._passed:
            for due in self._slots.pop(heapq.heappop(self._order)):
                try:
                    deadline = due(now)
                except Exception:
                    logger.exception("a timer failed")
                    continue
                if deadline is not None:
                    self.schedule(deadline, due)
        self._handle = None
        if self._order:
            self._arm(self._order[0])

    def open(self) -> None:
        """Take deadlines again, after `close`: the clock may be another event loop's."""
        self._closed = False
        self._passed = 0

    def close(self) -> None:
        """Forget every deadline, and take no more until `open`."""
        self._closed = True
        self._slots.clear()
        self._order.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
