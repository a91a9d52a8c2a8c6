"""Publications that were read from Redis lately. Clients that return at the same time have missed the same ones."""

from __future__ import annotations

from bisect import bisect_right
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, NamedTuple

from asgi_realtime.broker.history import ENTRY_BYTES
from asgi_realtime.redis.link import Link
from asgi_realtime.values.publications import Publication

MOST_BYTES: Final = 4 * 1024 * 1024
"""Bytes that are kept for all targets. Over: what was not used for longest is removed, and is read again."""
MOST_SECONDS: Final = 10.0
"""How long what was read is used. So a client gets nothing that Redis has removed longer ago."""


class Known(NamedTuple):
    """What is known of a stream after a number."""

    until: int
    """The number up to which everything is here."""
    numbers: list[int]
    publications: list[Publication]


@dataclass(slots=True)
class _Part:
    """What was published to one target after the number `start`, up to the number `until`."""

    link: Link
    epoch: str
    expires: float
    start: int
    until: int
    numbers: list[int]
    publications: list[Publication]
    size: int = 0

    def reaches(self, link: Link | None, epoch: str, start: int, now: float) -> bool:
        """Whether it may be used for a client that has got everything up to the number `start`."""
        is_valid = self.link is link and self.epoch == epoch and now < self.expires
        return is_valid and self.start <= start <= self.until


class RecentHistory:
    """Keeps what was read from history, so that only what came later is read for the next client.

    A part of history never changes, except if Redis loses it. A process learns of that when it connects again, at the
    latest: so what was read on an earlier link is not used. No I/O: callers pass the time, in seconds.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._parts: OrderedDict[str, _Part] = OrderedDict()
        self._bytes = 0

    def known(self, key: str, link: Link | None, epoch: str, start: int, now: float) -> Known:
        """What is known of a stream after the number `start`.

        Args:
            key: the key of the stream.
            link: the rest is read on this link.
            epoch: the epoch of history.
            start: the number to begin after.
            now: the time.
        """
        part = self._parts.get(key)
        if part is None or not part.reaches(link, epoch, start, now):
            return Known(start, [], [])
        self._parts.move_to_end(key)
        first = bisect_right(part.numbers, start)
        return Known(part.until, part.numbers[first:], part.publications[first:])

    def keep(self, key: str, link: Link, epoch: str, start: int, now: float, found: Known) -> None:
        """Keep all that was published to a stream after the number `start`. It was read on this link."""
        until, numbers, publications = found
        part = self._parts.get(key)
        if part is not None and part.reaches(link, epoch, start, now):
            first = bisect_right(numbers, part.until)
            numbers, publications = numbers[first:], publications[first:]
            part.until = max(part.until, until)
            part.numbers += numbers
            part.publications += publications
        elif numbers:
            if part is not None:
                self._remove(key)
            part = self._parts[key] = _Part(link, epoch, now + MOST_SECONDS, start, until, [*numbers], [*publications])
        else:
            return
        size = sum([ENTRY_BYTES + len(each.payload) + sum(map(len, each.attachments)) for each in publications])
        part.size += size
        self._bytes += size
        while self._bytes > self._most_bytes:
            self._remove(next(iter(self._parts)))

    def forget(self) -> None:
        """Redis has lost a part of history."""
        self._parts.clear()
        self._bytes = 0

    def _remove(self, key: str) -> None:
        self._bytes -= self._parts.pop(key).size
