"""How much each user sends, on all connections together."""

from __future__ import annotations

from asgi_realtime.limits import TokenBucket
from asgi_realtime.messages import UserId


class UserRates:
    """A token bucket for each user, kept only while it may not be full.

    One that nobody touched for as long as it takes to fill is as good as a new one. So buckets wait
    in two generations of that length, and the older is dropped whole: nothing is searched, no timer
    is needed, and who leaves and comes back finds the bucket as it was.
    """

    __slots__ = ("_burst", "_earlier", "_generation", "_rate", "_recent", "_until")

    def __init__(self, rate: float, burst: int) -> None:
        """Allow each user `rate` events per second on average, and `burst` at once."""
        self._rate = rate
        self._burst = burst
        self._generation = burst / rate
        self._until = 0.0
        self._recent: dict[UserId, TokenBucket] = {}
        self._earlier: dict[UserId, TokenBucket] = {}

    def __len__(self) -> int:
        return len(self._recent) + len(self._earlier)

    def admits(self, user_id: UserId, now: float) -> bool:
        """Whether one more event of the user is within the rate, at this time (seconds, monotonic)."""
        if now >= self._until:
            self._turn(now)
        bucket = self._recent.get(user_id)
        if bucket is None:
            bucket = self._earlier.pop(user_id, None) or TokenBucket(self._rate, self._burst, now)
            self._recent[user_id] = bucket
        return bucket.take(now)

    def _turn(self, now: float) -> None:
        self._earlier = self._recent if now < self._until + self._generation else {}
        self._recent = {}
        self._until = now + self._generation
