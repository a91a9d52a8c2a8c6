"""Owners of background work: tasks that somebody notices dying, and timers that cost one handle."""

from __future__ import annotations

import asyncio
import heapq
import logging
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any, Protocol, TypeVar

from asgi_realtime.stand_in import StandIn

logger = logging.getLogger("asgi_realtime")
T = TypeVar("T")


class Tasks:
    """Owns tasks: an exception nobody awaited is logged once, and `aclose` cancels what is left."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self.spare: list[StandIn] = []
        """Tasks that stand by. Each is for one piece of work that has to wait; others bring it back here."""
        self.closing = False
        """Whether `aclose` is at work."""

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self) -> None:
        """Begin on the running event loop. Tasks of a loop that ended without `aclose` are forgotten."""
        self._tasks = set()
        self.spare.clear()
        self.closing = False

    def spawn(self, work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
        """Start a task that this object owns."""
        task = asyncio.create_task(work, name=name)
        self._own(task)
        return task

    def stand_in(self) -> StandIn:
        """Take a task in whose name work can be begun. Then either `engage` it or put it back among the `spare`."""
        while self.spare:
            stand_in = self.spare.pop()
            if not stand_in.task.cancelling() and stand_in.loop.is_running():
                return stand_in
        return StandIn("work of a connection")

    def engage(self, stand_in: StandIn, work: Coroutine[Any, Any, None]) -> None:
        """Have the task do this, and own it like any other."""
        stand_in.run(work)
        self._own(stand_in.task)

    def _own(self, task: asyncio.Task[Any]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done)

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
        self.closing = True
        try:
            while tasks := [task for task in self._all() if task is not current]:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            self.closing = False

    def _all(self) -> set[asyncio.Task[Any]]:
        waiting = {stand_in.task for stand_in in self.spare}
        self.spare.clear()
        return self._tasks | waiting


def _run(step: Callable[[Any], Any], value: Any) -> Any:
    return step(value)


@types.coroutine
def go_on(work: Coroutine[Any, Any, T], waiting: Any, run: Callable[..., Any] = _run) -> Generator[Any, Any, T]:
    """Await what is left of a coroutine that was begun by `send(None)`, which returned `waiting`.

    `run` calls each step of it: in another context, say.
    """
    while True:
        try:
            try:
                sent = yield waiting
            except BaseException as error:  # a cancellation: the coroutine's to deal with
                waiting = run(work.throw, error)
            else:
                waiting = run(work.send, sent)
        except StopIteration as done:
            result: T = done.value
            return result


async def within(context: Context, work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine, each step of it in this context."""
    try:
        waiting = context.run(work.send, None)
    except StopIteration as done:
        result: T = done.value
        return result
    return await go_on(work, waiting, context.run)


async def in_time(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine for at most so long. One that ends without waiting costs no timer.

    Raises:
        TimeoutError: it took longer, and has been cancelled.
    """
    try:
        waiting = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(seconds):
        return await go_on(work, waiting)


class Due(Protocol):
    """Something with a deadline."""

    def due(self, now: float) -> float | None:
        """It has passed, by the loop's clock. Returns the next one; None ends it."""


class TimerWheel:
    """Deadlines for any number of owners on one event-loop timer, `tick` seconds coarse.

    An owner is called at most one tick late and never early. Scheduling is a dictionary insert; a
    cancelled or moved deadline is forgotten by its owner (`due` finds nothing to do and returns
    its next deadline, or None), so nothing is ever searched. An owner is kept alive until its
    deadline. So that no connection is, their owners are weak references to them, each of a class
    that says what is due.
    """

    def __init__(self, *, tick: float) -> None:
        self.tick = tick
        self._slots: dict[int, list[Due]] = {}
        self._order: list[int] = []  # a heap of the slots' numbers
        self._handle: asyncio.TimerHandle | None = None
        self._armed = 0
        self._passed = 0
        self._closed = False

    def schedule(self, deadline: float, owner: Due) -> None:
        """Call the owner's `due` once `deadline` (the loop's clock, seconds) has passed."""
        if self._closed:
            return
        # Never into a slot that is being emptied: an owner that is always due gets one call a tick.
        slot = max(int(deadline / self.tick), self._passed) + 1
        owners = self._slots.get(slot)
        if owners is not None:
            owners.append(owner)
            return
        self._slots[slot] = [owner]
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
            for owner in self._slots.pop(heapq.heappop(self._order)):
                try:
                    deadline = owner.due(now)
                except Exception:
                    logger.exception("a timer failed")
                    continue
                if deadline is not None:
                    self.schedule(deadline, owner)
        self._handle = None
        if self._order:
            self._arm(self._order[0])

    def open(self) -> None:
        """Take deadlines on the running event loop, whose clock may be another. Earlier ones are forgotten."""
        self._slots.clear()
        self._order.clear()
        self._handle = None
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
