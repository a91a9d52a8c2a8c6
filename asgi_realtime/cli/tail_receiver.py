"""What `tail` receives from the broker, until it is printed."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections import deque
from collections.abc import Awaitable, Collection, Sequence
from typing import Final, TypeAlias

from asgi_realtime.broker.no_connections import NoConnections
from asgi_realtime.broker.position_order import is_up_to
from asgi_realtime.values.commands import Command, EndAll
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Position, Publication, Subscription, Target

MOST_BYTES: Final = 8_000_000
"""Bytes of events that wait while the terminal does not keep up. Over: the newest are not shown, and that is said."""
EVENT_BYTES: Final = 500
"""Bytes of an event without its payload, about."""
SLOW: Final = "the output is slower than the events"
AT_ONCE: Final = 100
"""Most events that are printed in one step, so that Redis is read in between."""
BYTES_AT_ONCE: Final = 500_000
"""Bytes of events after which none is added to a step."""


@dataclasses.dataclass(frozen=True, slots=True)
class Seen:
    """An event, and when it came: seconds since 1970."""

    publication: Publication
    received: float


@dataclasses.dataclass(slots=True)
class Missed:
    """Here events may be missing, or are missing."""

    why: str
    received: float
    gateway: str | None = None
    """None: several ones."""
    targets: Sequence[Target] | None = None
    """None: all that are followed."""
    skipped: int = 0
    """How many are known not to be shown. 0: it is not known whether there were any."""


Entry: TypeAlias = Seen | Missed


class TailReceiver(NoConnections):
    """Keeps the events that the broker delivers, in their order, within a limit.

    Args:
        events: the names of those that are wanted. Empty: all.
        most_bytes: see `MOST_BYTES`.
    """

    def __init__(self, events: Collection[str], *, most_bytes: int = MOST_BYTES) -> None:
        self._events = frozenset(events)
        self._most_bytes = most_bytes
        self._bytes = 0
        self._waiting: deque[Entry] = deque()
        self._arrived = asyncio.Event()
        self._shown_until: Position | None = None
        self._failure: Exception | None = None

    def wants(self, publication: Publication) -> bool:
        """Whether an event is to be shown."""
        return not self._events or publication.event in self._events

    def deliver(self, publication: Publication) -> int:
        """Keep an event, or count it if too much waits."""
        if self.wants(publication):
            size = size_of(publication)
            if self._bytes and self._bytes + size > self._most_bytes:
                self._skip()
            else:
                self._bytes += size
                self._add(Seen(publication, time.time()))
        return 0

    def _skip(self) -> None:
        last = self._waiting[-1] if self._waiting else None
        if isinstance(last, Missed) and last.why == SLOW:
            last.skipped += 1
        else:
            self._add(Missed(SLOW, time.time(), skipped=1))

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        """Say that events may be missing."""
        targets = None if subscriptions is None else [each.target for each in subscriptions]
        self._add(Missed("history in Redis does not reach back", time.time(), gateway, targets))

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        """Commands are for processes with clients. `EndAll` says that events may be missing too."""
        if isinstance(command, EndAll):
            self.miss("history in Redis does not reach back", command.gateway)
        return None

    def miss(self, why: str, gateway: str | None, *, skipped: int = 0) -> None:
        """Say that events of a gateway may be missing here, or that some were `skipped`."""
        self._add(Missed(why, time.time(), gateway, skipped=skipped))

    def fail(self, error: Exception) -> None:
        """No event will come any more: `take` raises this when it has returned those that wait."""
        self._failure = error
        self._arrived.set()

    def _add(self, entry: Entry) -> None:
        self._waiting.append(entry)
        self._arrived.set()

    def leave_out(self, newest: Position) -> None:
        """Everything up to this position was shown from history: `take` leaves it out."""
        self._shown_until = newest

    def _was_shown(self, entry: Entry) -> bool:
        position = entry.publication.position if isinstance(entry, Seen) else None
        return position is not None and self._shown_until is not None and is_up_to(position, self._shown_until)

    def wake(self) -> None:
        """Let `take` return."""
        self._arrived.set()

    async def take(self) -> list[Entry]:
        """Wait for events, and take them from here: some, in their order. It may be none, also if `wake` was called."""
        await self._arrived.wait()
        if self._failure is not None and not self._waiting:
            raise self._failure
        found: list[Entry] = []
        taken = 0
        while self._waiting and len(found) < AT_ONCE and taken < BYTES_AT_ONCE:
            entry = self._waiting.popleft()
            found.append(entry)
            taken += size_of(entry.publication) if isinstance(entry, Seen) else 0
        self._bytes -= taken
        if not self._waiting and self._failure is None:
            self._arrived.clear()
        return [entry for entry in found if not self._was_shown(entry)]


def size_of(publication: Publication) -> int:
    """The bytes that an event takes, about."""
    return EVENT_BYTES + len(publication.payload) + sum(map(len, publication.attachments))
