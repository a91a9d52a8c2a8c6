"""Deadlines for any number of owners on one timer of the event loop."""

from __future__ import annotations

import asyncio
import heapq
import weakref
from collections.abc import Callable
from typing import Protocol, TypeVar

from asgi_realtime.runtime.tasks import logger

OwnerT = TypeVar("OwnerT")


class Due(Protocol):
    """The owner of a deadline."""

    def due(self, now: float) -> float | None:
        """Called once the deadline has passed. `now` is the loop's clock. Returns the next deadline; None: no more."""


class WeakOwner(weakref.ref[OwnerT]):
    """A deadline of an object that the wheel must not keep alive.

    `due` is called with the object and the loop's clock, as long as the object exists:
    `wheel.schedule(deadline, WeakOwner(session, Session.due))`.
    """

    __slots__ = ("_due",)

    _due: Callable[[OwnerT, float], float | None]

    def __new__(cls, owner: OwnerT, due: Callable[[OwnerT, float], float | None]) -> WeakOwner[OwnerT]:
        """Refer to an object. `due` is a plain function or an unbound method, since a bound one holds the object."""
        deadline = super().__new__(cls, owner)
        deadline._due = due
        return deadline

    def due(self, now: float) -> float | None:
        """Call the object's function. See `Due.due`."""
        owner = self()
        return None if owner is None else self._due(owner, now)


class TimerWheel:
    """Deadlines for any number of owners on one event-loop timer, `tick` seconds coarse.

    An owner is called at most one tick late and never early. Scheduling is a dictionary insert. A
    deadline is never taken back, so nothing is ever searched: the owner's `due` finds nothing to do
    and returns its next deadline, or None. An owner is kept alive until its deadline; a `WeakOwner`
    keeps the object behind it from that.
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
