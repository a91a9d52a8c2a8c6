"""Decides which of many similar lines are logged, so that what clients or a lasting fault repeat fills no log."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from asgi_realtime.runtime import time_source

INTERVAL: Final = 60.0
"""Seconds in which each cause is logged once."""
_MOST_CAUSES: Final = 500
"""Most causes that are stored. Then all are removed."""


class LogLimit:
    """Allows one line in a minute for each cause, and counts the others."""

    def __init__(self, *, clock: Callable[[], float] = time_source.read_monotonic) -> None:
        self._clock = clock
        self._causes: dict[object, tuple[float, int]] = {}

    def clear(self) -> None:
        """Allow a line about every cause, as at the beginning."""
        self._causes.clear()

    def more(self, cause: object = None) -> str | None:
        """Ask whether a line about this cause, a hashable value, is to be written now. None: it is not, and is counted.

        Otherwise the result belongs at the end of the line: empty, or how many were counted since the last line.
        """
        now = self._clock()
        until, unwritten = self._causes.get(cause, (now, 0))
        if now < until:
            self._causes[cause] = until, unwritten + 1
            return None
        if cause not in self._causes and len(self._causes) >= _MOST_CAUSES:
            self._causes.clear()
        self._causes[cause] = now + INTERVAL, 0
        return f"; {unwritten} more since the last line" if unwritten else ""
