"""A timer wheel: deadlines for any number of owners on one timer of the event loop."""

from __future__ import annotations

import asyncio
import heapq
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

from asgi_realtime.runtime.failure_log import FailureLog

OwnerT = TypeVar("OwnerT")


class DeadlineOwner(Protocol):
    """The owner of a deadline."""

    def on_deadline(self, now: float) -> float | None:
        """Called when the deadline has passed. `now` is the loop's time. Returns the next deadline, or None."""


class WeakOwner(weakref.ref[OwnerT]):
    """A deadline of an object that the wheel must not keep alive.

    `on_deadline` is called with the object and the loop's time, if the object still exists:
    `wheel.schedule(deadline, WeakOwner(session, Session.on_deadline))`.
    """

    __slots__ = ("_on_deadline",)

    _on_deadline: Callable[[OwnerT, float], float | None]

    def __new__(cls, owner: OwnerT, on_deadline: Callable[[OwnerT, float], float | None]) -> WeakOwner[OwnerT]:
        """Refer to an object. `on_deadline` is a plain function or an unbound method: a bound one keeps the object."""
        deadline = super().__new__(cls, owner)
        deadline._on_deadline = on_deadline
        return deadline

    def on_deadline(self, now: float) -> float | None:
        """Call the object's function. See `DeadlineOwner.on_deadline`."""
        owner = self()
        return None if owner is None else self._on_deadline(owner, now)


class TimerWheel:
    """Deadlines for any number of owners on one event-loop timer. Its resolution is `tick` seconds.

    An owner is called at most one tick late and never early. Scheduling is one dictionary access. A deadline cannot
    be cancelled, so no search is needed: an owner that has nothing to do at its deadline returns its next deadline or
    None. The wheel keeps an owner alive until its deadline. Use a `WeakOwner` to avoid that.
    """

    def __init__(self, *, tick: float) -> None:
        self.tick = tick
        self._slots: dict[int, list[DeadlineOwner]] = {}
        self._order: list[int] = []  # a heap of the slots' numbers
        self._handle: asyncio.TimerHandle | None = None
        self._armed = 0
        self._passed = 0
        self._closed = False
        self._failures = FailureLog()

    def schedule(self, deadline: float, owner: DeadlineOwner) -> None:
        """Call the owner's `on_deadline` once `deadline` (the loop's clock, seconds) has passed."""
        if self._closed:
            return
        # Never the slot that is being emptied now, so that an owner is called at most once per tick.
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
        # The loop may call slightly early, because of its clock's resolution. `now` is never before the deadline.
        now = max(asyncio.get_running_loop().time(), self._armed * self.tick)
        # `_handle` is cleared only at the end, so that the calls of `schedule` below do not set a timer each.
        self._passed = max(int(now / self.tick), self._armed)
        while self._order and self._order[0] <= self._passed:
            for owner in self._slots.pop(heapq.heappop(self._order)):
                try:
                    deadline = owner.on_deadline(now)
                except Exception as error:
                    self._failures.failed(None, "a timer failed", error)
                    continue
                if deadline is not None:
                    self.schedule(deadline, owner)
        self._handle = None
        if self._order:
            self._arm(self._order[0])

    def open(self) -> None:
        """Accept deadlines on the running event loop. Earlier ones are dropped: another loop may have another clock."""
        self._slots.clear()
        self._order.clear()
        self._handle = None
        self._closed = False
        self._passed = 0

    def close(self) -> None:
        """Drop all deadlines, and ignore new ones until `open`."""
        self._closed = True
        self._slots.clear()
        self._order.clear()
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None
