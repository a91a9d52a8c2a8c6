"""The calls of this process that wait for acknowledgements of clients, which may be connected to any process."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Final, TypeAlias

from asgi_realtime.values.json import Json

MOST_PENDING: Final = 10_000
"""Most calls that acknowledgements may still come for. Over: those of the oldest are ignored."""

Answered: TypeAlias = Callable[[list[Json]], None]
"""Is called with the values of each acknowledgement. It must not raise."""


class PendingReplies:
    """Gives each call the acknowledgements that come for it, by its number."""

    def __init__(self) -> None:
        self._numbers = itertools.count()
        self._pending: dict[int, Answered] = {}

    def __len__(self) -> int:
        return len(self._pending)

    def expect(self, answered: Answered) -> int:
        """Call `answered` for each acknowledgement of a new call. Returns the number of the call."""
        if len(self._pending) >= MOST_PENDING:
            del self._pending[next(iter(self._pending))]
        number = next(self._numbers)
        self._pending[number] = answered
        return number

    def forget(self, number: int) -> None:
        """Ignore later acknowledgements of a call."""
        self._pending.pop(number, None)

    def acknowledged(self, number: int, values: list[Json]) -> None:
        """An acknowledgement has come."""
        answered = self._pending.get(number)
        if answered is not None:
            answered(values)
