"""Revoked tokens and users. They are refused although their tokens are valid otherwise."""

from __future__ import annotations

import heapq
import logging
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.log_limit import LogLimit
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import UserId

logger = logging.getLogger("asgi_realtime")

KeyT = TypeVar("KeyT", bound=str)

MOST_REVOCATIONS: Final = 100_000
"""Most tokens that are refused at once, and most users."""


class Revocations:
    """The tokens and users that this process refuses.

    Each revocation is removed after `ttl` seconds. If there are more than `capacity` tokens, or users, the one that
    ends first is removed.

    `ttl` must be longer than any token is valid: an expired token needs no revocation. `clock` returns seconds since
    the epoch, like the times in tokens.
    """

    def __init__(
        self, *, ttl: float, capacity: int = MOST_REVOCATIONS, clock: Callable[[], float] = time_source.read_wall
    ) -> None:
        self.capacity = capacity
        self._tokens: _ExpiringMap[str] = _ExpiringMap(ttl, capacity, clock)
        self._users: _ExpiringMap[UserId] = _ExpiringMap(ttl, capacity, clock)
        self._failures = FailureLog()

    @property
    def ttl(self) -> float:
        """Seconds for which a revocation is kept."""
        return self._tokens.ttl

    def clear(self) -> None:
        """Remove all revocations."""
        self._tokens.clear()
        self._users.clear()

    def revoke_token(self, jti: str, seconds: float | None = None) -> bool:
        """Refuse the token with this id (`jti`) from now on, for `seconds` (None: `ttl`). Returns whether it is new."""
        is_new = self._tokens.get(jti) is None
        if is_new or seconds is None:
            self._tokens.put(jti, 0.0, seconds)
        return is_new

    def revoke_user(self, user_id: UserId, issued_before: float, seconds: float | None = None) -> bool:
        """Refuse the user's tokens issued up to this time (seconds since the epoch). The latest time wins.

        It is kept for `seconds` (None: `ttl`). Returns whether more tokens are refused than before.
        """
        earlier = self._users.get(user_id)
        is_new = earlier is None or earlier < issued_before
        if is_new or seconds is None:
            self._users.put(user_id, issued_before if earlier is None else max(earlier, issued_before), seconds)
        return is_new

    def tokens(self) -> list[tuple[str, float]]:
        """The revoked tokens (`jti`), each with the seconds for which it is still kept."""
        return [(jti, left) for jti, _, left in self._tokens.items()]

    def users(self) -> list[tuple[UserId, float, float]]:
        """The revoked users, each with the time of `revoke_user` and the seconds for which it is still kept."""
        return self._users.items()

    def is_revoked(self, identity: Identity) -> bool:
        """Whether this identity must not connect, or must be disconnected.

        A token without `iat` counts as issued before every revocation of its user. If the id of a token cannot be read
        while tokens are revoked, it counts as revoked, and that is logged.
        """
        if self._tokens:  # the claims are decoded on every access
            try:
                jti = identity.claims.get("jti")
                if jti is not None and self._tokens.get(str(jti)) is not None:
                    return True
            except Exception as error:  # of an object of the host. The other connections must be checked too
                self._failures.failed(None, "the id of a token cannot be read, so it counts as revoked", error)
                return True
        issued_before = self._users.get(identity.user_id)
        if issued_before is None:
            return False
        issued_at = identity.claims.get("iat")
        return not isinstance(issued_at, int | float) or not issued_at > issued_before


class _ExpiringMap(Generic[KeyT]):
    """A mapping bounded by age and by number of entries. The entries that end first are removed first."""

    def __init__(self, ttl: float, capacity: int, clock: Callable[[], float]) -> None:
        self.ttl = ttl
        self._capacity = capacity
        self._clock = clock
        self._warnings = LogLimit()
        self._entries: dict[KeyT, tuple[float, float]] = {}  # key: (ends, value)
        self._ends: list[tuple[float, KeyT]] = []
        """A heap of ends and keys. It has those of replaced entries too, until they are on top, or too many."""

    def __bool__(self) -> bool:
        return bool(self._entries)

    def clear(self) -> None:
        self._entries.clear()
        self._ends.clear()

    def put(self, key: KeyT, value: float, seconds: float | None = None) -> None:
        now = self._clock()
        ends = now + (self.ttl if seconds is None else seconds)
        self._entries[key] = (ends, value)
        heapq.heappush(self._ends, (ends, key))
        self._remove(now)
        if len(self._ends) > 2 * len(self._entries) + 10:
            self._ends = [(ends, key) for key, (ends, _) in self._entries.items()]
            heapq.heapify(self._ends)

    def _remove(self, now: float) -> None:
        """Remove entries that have ended, and those that end first while there are too many."""
        while self._ends:
            ends, key = self._ends[0]
            entry = self._entries.get(key)
            if entry is not None and entry[0] == ends:
                if ends > now:
                    if len(self._entries) <= self._capacity:
                        return
                    if (more := self._warnings.more()) is not None:
                        logger.warning(
                            "more than %d revocations at once: the one that ends first is removed%s",
                            self._capacity,
                            more,
                        )
                del self._entries[key]
            heapq.heappop(self._ends)

    def get(self, key: KeyT) -> float | None:
        entry = self._entries.get(key)
        return None if entry is None or entry[0] <= self._clock() else entry[1]

    def items(self) -> list[tuple[KeyT, float, float]]:
        """Each key with its value and the seconds until it expires."""
        now = self._clock()
        return [(key, value, ends - now) for key, (ends, value) in self._entries.items() if ends > now]
