"""A lower bound of a server's time, without asking it.

A reply that has the server's time says what time it was there at the latest when the reply was received. From then on,
the clock of the event loop says how much later it is. However long a command or a reply was under way, the server's
clock shows more than this. It does not hold if the server's clock is set back.
"""

from __future__ import annotations

from typing import Final

_SLOWEST: Final = 999_000
"""Microseconds that pass at the server, at least, in a second of the event loop. Clocks are corrected by 500 ppm."""
_GRANULARITY: Final = 1_000
"""Microseconds by which a server may read its clock too early: it reads it once for several commands."""


class ServerClock:
    """What is known of the clock of one server. Times of the event loop are in seconds, others in microseconds."""

    __slots__ = ("_seen", "_seen_at")

    def __init__(self) -> None:
        self._seen = 0
        self._seen_at = 0.0

    def seen(self, time: int, now: float) -> None:
        """A reply that is received now says that it was this time."""
        self._seen, self._seen_at = time, now

    def earliest(self, now: float) -> int:
        """What the server's clock shows now at least. 1: nothing is known."""
        passed = round((now - self._seen_at) * _SLOWEST) if self._seen else 0
        return max(1, self._seen + passed - _GRANULARITY)
