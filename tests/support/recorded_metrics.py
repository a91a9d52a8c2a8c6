"""Metrics of a host that a test can read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from asgi_realtime.metrics import Metric
from tests.support.moved_metrics import moved_now


class RecordedMetrics:
    """Keeps the metrics of a process."""

    def __init__(self) -> None:
        self._totals: dict[str, float] = {}
        self._observed: dict[str, tuple[list[int], float]] = {}
        self._transfer: Callable[[], None] = lambda: None
        self._moved = moved_now.get(set())

    @property
    def totals(self) -> dict[str, float]:
        """Counters and gauges by name and the values of the labels: `closed_total / ping timeout none`."""
        self._transfer()
        return self._totals

    @property
    def observed(self) -> dict[str, tuple[list[int], float]]:
        """Histograms in the same way: the number of observations in each bucket, and their sum."""
        self._transfer()
        return self._observed

    def sum(self, name: str) -> float:
        """A counter or gauge, summed over its labels."""
        return sum([value for key, value in self.totals.items() if key.split(" ")[0] == name])

    def attach(self, transfer: Callable[[], None]) -> None:
        self._transfer = transfer

    def counter(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        key = self._key(metric, labels)
        self._totals[key] = 0

        def add(amount: float) -> None:
            self._totals[key] += amount
            self._moved.add(metric.name)

        return add

    def gauge(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        key = self._key(metric, labels)

        def set_(value: float) -> None:
            if key in self._totals:
                self._moved.add(metric.name)
            self._totals[key] = value

        return set_

    def histogram(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[Sequence[int], float], object]:
        key = self._key(metric, labels)
        self._observed[key] = [0] * (len(metric.buckets) + 1), 0.0

        def add(counts: Sequence[int], total: float) -> None:
            known, before = self._observed[key]
            self._observed[key] = [old + new for old, new in zip(known, counts, strict=True)], before + total
            self._moved.add(metric.name)

        return add

    @staticmethod
    def _key(metric: Metric, labels: Mapping[str, str]) -> str:
        assert set(labels) == set(metric.labels)
        return " ".join((metric.name, *[labels[name] for name in metric.labels]))
