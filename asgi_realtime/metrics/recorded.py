"""What the code counts and observes. Changing one is a few attributes: no lock, no label, no call of the host."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence

from asgi_realtime.metrics.metric import Metric


class Counter:
    """A number that only grows. Add to `value`."""

    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 0


class Histogram:
    """Observations by bucket, since they were last taken."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._clear()

    def observe(self, value: float) -> None:
        """Add an observation."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def take(self) -> tuple[Sequence[int], float] | None:
        """Remove and return all observations: their number in each bucket, and their sum. None: there are none."""
        taken = self._counts, self._sum
        if not any(taken[0]):
            return None
        self._clear()
        return taken

    def _clear(self) -> None:
        self._counts, self._sum = [0] * (len(self._bounds) + 1), 0.0


def check_labels(metric: Metric, kind: str, labels: Mapping[str, str] | Sequence[str]) -> None:
    """Refuse what is not declared.

    Raises:
        ValueError: for another kind, other labels, or a value of a label that is not declared.
    """
    if metric.kind != kind or set(labels) != set(metric.labels) or len(labels) != len(metric.labels):
        raise ValueError(f"{metric.name} is declared as a {metric.kind} with the labels {list(metric.labels)}")
    if isinstance(labels, Mapping):
        for name, value in labels.items():
            if metric.labels[name] and value not in metric.labels[name]:
                raise ValueError(f"{metric.name}: {name}={value!r} is not declared")
