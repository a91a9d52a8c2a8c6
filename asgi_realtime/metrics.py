"""What is counted. Null by default; a host passes its own `Metrics` to see the numbers."""

from __future__ import annotations

from typing import Protocol


class Metrics(Protocol):
    """A sink for counters. Both methods are called on the event loop and must not block."""

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter, such as `closed_total` with `code="1013"`."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Set a gauge, such as `connections` with `gateway="/"`."""


class NullMetrics:
    """Counts nothing."""

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Forget it."""

    def gauge(self, name: str, value: float, **labels: str) -> None:
        """Forget it."""
