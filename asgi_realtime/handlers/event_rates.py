"""How much a connection sends, and how much each user sends on all connections together."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime.limits import Limits
from asgi_realtime.values.ids import UserId

_ROUNDING = 1e-3
"""Of an event: sums of fractions are not exact, and nobody is to be refused for that."""


class Sender(Protocol):
    """What is kept for a connection."""

    refilled_at: float
    """When all that it has sent will be paid for, at its rate. 0: it has sent nothing."""


class EventRates:
    """So many events per second on average, and so many at once: a token bucket, kept as the time when it is full.

    The clock comes in with each call (seconds, monotonic), so that it costs no timer and tests can move it.

    A user whose time has passed is as good as a new one. So users wait in two generations, each as
    long as it takes to pay for all that may be sent at once, and the older is dropped whole: nothing
    is searched, no timer is needed, and who leaves and comes back finds everything as it was.
    """

    __slots__ = (
        "_tolerance",
        "_earlier",
        "_generation",
        "_interval",
        "_recent",
        "_until",
        "_user_tolerance",
        "_user_interval",
    )

    def __init__(self, limits: Limits) -> None:
        self._interval = 1.0 / limits.event_rate
        self._tolerance = (limits.event_burst - 1 + _ROUNDING) * self._interval
        self._user_interval = 1.0 / limits.user_event_rate
        self._user_tolerance = (limits.user_event_burst - 1 + _ROUNDING) * self._user_interval
        self._generation = limits.user_event_burst * self._user_interval
        self._until = 0.0
        self._recent: dict[UserId, float] = {}
        self._earlier: dict[UserId, float] = {}

    def __len__(self) -> int:
        """How many users are remembered."""
        return len(self._recent) + len(self._earlier)

    def admits(self, sender: Sender, user_id: UserId, now: float) -> bool:
        """Whether one more event is within both rates. If so, it is counted."""
        refilled_at = sender.refilled_at
        if refilled_at < now:
            refilled_at = now
        elif refilled_at - now > self._tolerance:
            return False
        if now >= self._until:
            self._turn(now)
        users = self._recent
        user_refilled_at = users.get(user_id)
        if user_refilled_at is None:
            user_refilled_at = self._earlier.pop(user_id, now)
        if user_refilled_at < now:
            user_refilled_at = now
        elif user_refilled_at - now > self._user_tolerance:
            users[user_id] = user_refilled_at
            return False
        users[user_id] = user_refilled_at + self._user_interval
        sender.refilled_at = refilled_at + self._interval
        return True

    def _turn(self, now: float) -> None:
        self._earlier = self._recent if now < self._until + self._generation else {}
        self._recent = {}
        self._until = now + self._generation
