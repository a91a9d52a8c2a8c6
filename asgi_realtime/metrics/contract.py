"""What a host passes as `metrics=`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from asgi_realtime.metrics.metric import Metric


class Metrics(Protocol):
    """Gets the metrics of a process. `PrometheusMetrics` is one; write another for another system.

    `counter`, `gauge` and `histogram` are called once for each metric and each combination of label values, most of
    them at the start. Each returns a function, which is called on the event loop when the value has changed: once a
    second, and in each call of `transfer`. None of them may wait or raise. `docs/reference/metrics.md` has the metrics.
    """

    def attach(self, transfer: Callable[[], None]) -> None:
        """Called once, when the app is made. Call `transfer`, on the event loop, before values are read."""

    def counter(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        """Return what adds an amount to a counter."""

    def gauge(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        """Return what sets a gauge."""

    def histogram(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[Sequence[int], float], object]:
        """Return what adds observations to a histogram: their number in each bucket, and their sum.

        There is one bucket for each of `Metric.buckets`, up to and including that bound, and one for what is above.
        The number of a bucket does not include those of the buckets below it.
        """
