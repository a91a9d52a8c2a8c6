"""Counters and gauges of a process. By default nothing is counted."""

from __future__ import annotations

from typing import Protocol


class Metrics(Protocol):
    """What `metrics=` takes. Both methods are called on the event loop: they must return at once and must not raise.

    The names, their labels and their meaning are in `docs/metrics.md`.
    """

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter, such as `closed_total` with `gateway="/"` and `reason="ping timeout"`."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge, such as `connections` with `gateway="/"`."""


class NullMetrics:
    """Counts nothing."""

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Do nothing."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Do nothing."""
