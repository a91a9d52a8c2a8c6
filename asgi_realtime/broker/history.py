"""The publications of the last minutes by target, for clients that reconnect. No I/O: callers pass the time."""

from __future__ import annotations

import dataclasses
import functools
import secrets
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator

import msgspec

from asgi_realtime.broker.newest import first_of
from asgi_realtime.errors import PositionLost
from asgi_realtime.values.publications import Newest, Position, Publication, Subscription

ENTRY_BYTES = 1_000
"""About what a kept publication costs beside its payload. It bounds the number of empty ones too."""


class _Entry(msgspec.Struct, gc=False):  # history may have a million: the collector need not look at them
    sequence: int
    publication: Publication
    size: int
    expires: float
    logs: tuple[Subscription, ...]


@dataclasses.dataclass(slots=True)
class _Log:
    """The publications of one target, oldest first. `trimmed` is the highest number that may have been removed."""

    trimmed: int
    entries: deque[_Entry] = dataclasses.field(default_factory=deque)


class History:
    """History with three limits: `size` publications for each target, `ttl` seconds, and `limit` bytes in total.

    A position is `epoch-sequence`. The epoch is random, so that a position from before a restart is recognised. Of
    removed publications only the highest number is kept: one for each target that has entries, and one for all other
    targets. So a request that might miss a publication is refused, and never answered with a gap.
    """

    def __init__(self, *, size: int, ttl: float, limit: int) -> None:
        self._size = size
        self._ttl = ttl
        self._limit = limit
        self._sequence = 0
        self._bytes = 0
        self._logs: dict[Subscription, _Log] = {}
        # In order of age, because age and the byte limit both remove the oldest of all targets.
        self._entries: OrderedDict[int, _Entry] = OrderedDict()
        self._forgotten = 0
        self._expires = 0.0
        """No entry expires before this time."""

    @property
    def position(self) -> Position:
        """The newest position."""
        return self._position(self._sequence)

    @property
    def kept_bytes(self) -> int:
        """Bytes that are kept: payloads, attachments, and `ENTRY_BYTES` for each publication."""
        return self._bytes

    def __len__(self) -> int:
        """The number of publications that are kept."""
        return len(self._entries)

    @functools.cached_property
    def _epoch(self) -> str:
        # Not made in the constructor: servers that load the app before they fork would give it to each new process.
        return secrets.token_hex(8)

    def _position(self, sequence: int) -> Position:
        return Position(f"{self._epoch}-{sequence}")

    def append(self, publication: Publication, now: float) -> Publication:
        """Number and keep a publication. Returns it with its position."""
        self._sequence += 1
        publication = msgspec.structs.replace(publication, position=self._position(self._sequence))
        keys = publication.subscriptions()
        if keys:  # an event to no users gets a number, but no client can request it
            size = ENTRY_BYTES + len(publication.payload)
            if publication.attachments:
                size += sum(map(len, publication.attachments))
            self._keep(_Entry(self._sequence, publication, size, now + self._ttl, tuple(keys)))
        if now >= self._expires or self._bytes > self._limit:
            self.trim(now)
        return publication

    def _keep(self, entry: _Entry) -> None:
        self._entries[entry.sequence] = entry
        self._bytes += entry.size
        for key in entry.logs:
            log = self._logs.get(key)
            if log is None:
                log = self._logs[key] = _Log(trimmed=self._forgotten)
            log.entries.append(entry)
            if len(log.entries) > self._size:
                self._drop_oldest_of(key)

    def since(
        self, position: Position, keys: Iterable[Subscription], now: float, most_bytes: int | None = None
    ) -> list[Publication]:
        """All publications after `position` in these logs, in order, without duplicates.

        Raises:
            PositionLost: some of them may have been removed, their payloads and attachments have more than
                `most_bytes`, or the position is not of this history.
        """
        start = self._parse(position)
        self.trim(now)
        left = self._bytes if most_bytes is None else most_bytes
        found: dict[int, Publication] = {}
        for key in keys:
            log = self._logs.get(key)
            if start < (log.trimmed if log else self._forgotten):
                raise PositionLost("history no longer reaches back to this position")
            for entry in reversed(log.entries if log else ()):
                if entry.sequence <= start:
                    break
                if entry.sequence not in found:
                    left -= entry.size - ENTRY_BYTES
                    if left < 0:
                        raise PositionLost("there are too many events since this position")
                found[entry.sequence] = entry.publication
        return [found[sequence] for sequence in sorted(found)]

    def latest(self, key: Subscription, event: str, since: Position | None, now: float) -> Publication | None:
        """The newest publication of an event in a log, if it is newer than `since`. None: history has none."""
        return next((each for each in self._newest(key, since, now) if each.event == event), None)

    def recent(self, key: Subscription, since: Position | None, limit: int, now: float) -> Newest:
        """The newest publications in a log; see `Broker.recent`."""
        return first_of(self._newest(key, since, now), limit)

    def _newest(self, key: Subscription, since: Position | None, now: float) -> Iterator[Publication]:
        """The publications in a log that are newer than `since`, newest first."""
        self.trim(now)
        try:
            start = 0 if since is None else self._parse(since)
        except PositionLost:
            start = 0
        log = self._logs.get(key)
        for entry in reversed(log.entries if log else ()):
            if entry.sequence <= start:
                break
            yield entry.publication

    def trim(self, now: float) -> None:
        """Remove publications that are too old, and the oldest while the total exceeds its limit."""
        self._expires = now + self._ttl
        while self._entries:
            oldest = next(iter(self._entries.values()))
            if oldest.expires > now and self._bytes <= self._limit:
                self._expires = oldest.expires
                break
            for key in oldest.logs:
                self._drop_oldest_of(key)

    def _drop_oldest_of(self, key: Subscription) -> None:
        log = self._logs[key]
        entry = log.entries.popleft()
        log.trimmed = entry.sequence
        if not log.entries:
            del self._logs[key]
            self._forgotten = max(self._forgotten, log.trimmed)
        entry.logs = tuple([other for other in entry.logs if other != key])
        if not entry.logs:
            del self._entries[entry.sequence]
            self._bytes -= entry.size

    def _parse(self, position: Position) -> int:
        epoch, _, text = position.partition("-")
        # `isdecimal` alone would accept digits of other scripts, and numbers of any length.
        if epoch == self._epoch and text.isascii() and text.isdecimal() and len(text) < 20:
            sequence = int(text)
            if sequence <= self._sequence:
                return sequence
        raise PositionLost("the position is not of this history")
