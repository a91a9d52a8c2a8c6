"""The answers of an application with one process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final, NamedTuple

from asgi_realtime.answers.base import EventKey
from asgi_realtime.limits import Limits
from asgi_realtime.runtime import time_source
from asgi_realtime.values.ids import UserId

MOST_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of the answers of one gateway. Over: the oldest are removed."""
_ENTRY_BYTES: Final = 400
"""What an answer takes beside its own bytes and its key, about."""


class _Kept(NamedTuple):
    answer: bytes
    expires: float
    size: int


class _Of:
    """The answers to one user, oldest first."""

    __slots__ = ("keys", "size")

    def __init__(self) -> None:
        self.keys: OrderedDict[EventKey, None] = OrderedDict()
        self.size = 0


class MemoryAnswers:
    """`Answers` of one gateway, in memory. Nothing else claims events, so `claim` never waits.

    Args:
        limits: those of the gateway.
        most_bytes: bytes for all users together.
        clock: returns seconds, monotonic.
    """

    def __init__(
        self, limits: Limits, *, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time_source.read_monotonic
    ) -> None:
        self._limits = limits
        self._most_bytes = most_bytes
        self._clock = clock
        self._kept: OrderedDict[EventKey, _Kept] = OrderedDict()
        """Oldest first. All are kept for the same time, so those that expire are at the beginning."""
        self._users: dict[UserId, _Of] = {}
        self._size = 0

    def __len__(self) -> int:
        """How many answers are kept."""
        return len(self._kept)

    def clear(self) -> None:
        """Remove all answers."""
        self._kept.clear()
        self._users.clear()
        self._size = 0

    async def claim(self, key: EventKey) -> bytes | None:
        """Return the answer to an event; see `Answers.claim`."""
        return self.known(key)

    async def keep(self, key: EventKey, answer: bytes) -> None:
        """Keep an answer; see `Answers.keep`."""
        self.put(key, answer)

    def release(self, key: EventKey) -> None:
        """Does nothing, because claims are not stored."""

    def known(self, key: EventKey) -> bytes | None:
        """The answer to an event, if it is kept."""
        found = self._kept.get(key)
        return None if found is None or found.expires <= self._clock() else found.answer

    def put(self, key: EventKey, answer: bytes) -> None:
        """Keep an answer."""
        now, limits = self._clock(), self._limits
        if key in self._kept:
            self._remove(key)
        size = len(answer) + len(key.event) + len(key.id) + _ENTRY_BYTES
        self._kept[key] = _Kept(answer, now + limits.once_ttl, size)
        user = self._users.setdefault(key.user_id, _Of())
        user.keys[key] = None
        user.size += len(answer)
        self._size += size
        while len(user.keys) > 1 and (len(user.keys) > limits.once_answers or user.size > limits.once_bytes):
            self._remove(next(iter(user.keys)))
        while len(self._kept) > 1:
            oldest = next(iter(self._kept))
            if self._size <= self._most_bytes and self._kept[oldest].expires > now:
                break
            self._remove(oldest)

    def _remove(self, key: EventKey) -> None:
        kept = self._kept.pop(key)
        self._size -= kept.size
        user = self._users[key.user_id]
        del user.keys[key]
        user.size -= len(kept.answer)
        if not user.keys:
            del self._users[key.user_id]
