"""Rate limits for the events of one connection, and of one user on all connections."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime.limits import Limits
from asgi_realtime.values.ids import UserId

_ROUNDING = 1e-3
"""Tolerance, in events. Sums of floats are not exact, and a client at exactly its rate must not be refused."""


class Sender(Protocol):
    """The state of a connection's token bucket."""

    refilled_at: float
    """The time when its bucket is full again (seconds, monotonic). 0: it has sent nothing."""


class EventRates:
    """Token buckets for connections and users. The state of each is one float: the time when it is full again.

    Callers pass the time (seconds, monotonic), so no timer is needed, and tests can choose the time.

    A user whose bucket is full needs no entry. So users are kept in two generations. Each lasts as long as an empty
    bucket needs to fill, and the older one is dropped as a whole. So no search and no timer is needed, and a user who
    reconnects keeps the same bucket.
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
        """The number of users that have an entry."""
        return len(self._recent) + len(self._earlier)

    def clear(self) -> None:
        """Fill the buckets of all users."""
        self._recent, self._earlier, self._until = {}, {}, 0.0

    def admits(self, sender: Sender, user_id: UserId, now: float) -> bool:
        """Whether one more event is within both rates. If so, it is counted."""
        if not self.available(sender, user_id, now):
            return False
        self.count(1, sender, user_id, now)
        return True

    def available(self, sender: Sender, user_id: UserId, now: float) -> int:
        """How many events are within both rates now."""
        user_refilled_at = self._recent.get(user_id)
        if user_refilled_at is None:
            user_refilled_at = self._earlier.get(user_id, now)
        room, user_room = self._tolerance, self._user_tolerance
        if sender.refilled_at > now:
            room -= sender.refilled_at - now
        if user_refilled_at > now:
            user_room -= user_refilled_at - now
        if room < 0.0 or user_room < 0.0:
            return 0
        return 1 + int(min(room / self._interval, user_room / self._user_interval))

    def count(self, events: int, sender: Sender, user_id: UserId, now: float) -> None:
        """Count events of a connection. They came at this time, and were available."""
        if now >= self._until:
            self._turn(now)
        users = self._recent
        refilled_at, user_refilled_at = sender.refilled_at, users.get(user_id)
        if user_refilled_at is None:
            user_refilled_at = self._earlier.pop(user_id, now)
        users[user_id] = (user_refilled_at if user_refilled_at > now else now) + events * self._user_interval
        sender.refilled_at = (refilled_at if refilled_at > now else now) + events * self._interval

    def _turn(self, now: float) -> None:
        self._earlier = self._recent if now < self._until + self._generation else {}
        self._recent = {}
        self._until = now + self._generation
