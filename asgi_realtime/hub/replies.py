"""The calls of this process that wait for acknowledgements of clients, which may be connected to any process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final, TypeAlias

from asgi_realtime.broker.base import Broker
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import ReplyTo

MOST_PENDING: Final = 10_000
"""Most calls that acknowledgements may still come for. Over: those of the oldest are ignored."""

Answered: TypeAlias = Callable[[list[Json]], None]
"""Is called with the values of each acknowledgement. It must not raise."""


class PendingReplies:
    """Gives each call the acknowledgements that come for it, by its number.

    Args:
        broker: carries them between processes.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._numbers = itertools.count()
        self._pending: dict[int, Answered] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def expect(self, answered: Answered) -> ReplyTo:
        """Call `answered` for each acknowledgement of a publication that has the returned `reply_to`."""
        if len(self._pending) >= MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        number = next(self._numbers)
        self._pending[number] = answered
        return ReplyTo(self._broker.node, number)

    def forget(self, reply_to: ReplyTo) -> None:
        """Ignore later acknowledgements of a publication."""
        self._pending.pop(reply_to.number, None)

    def acknowledge(self, reply_to: ReplyTo, values: list[Json]) -> None:
        """A client of this process has acknowledged a publication of any process."""
        self._broker.acknowledge(reply_to, values)

    def acknowledged(self, number: int, values: list[Json]) -> None:
        """A client of any process has acknowledged a publication of this process."""
        answered = self._pending.get(number)
        if answered is not None:
            answered(values)
