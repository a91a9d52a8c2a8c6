"""Gives the code what it counts with, and passes the values on to the host's `Metrics`.

The code counts in objects of its own (`recorded.py`), and `transfer` passes on what has changed: once a second
(`lifecycle/transfers.py`), and before the host reads. Recording at once would cost too much: `inc` of a counter of
`prometheus_client` takes 0.5 µs, and an event of a client 3 µs.

Without the host's metrics, what is counted is kept by no list and passed to no call. Code that runs for every event
must not count then: it asks `on` at the start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

from asgi_realtime.metrics.contract import Metrics
from asgi_realtime.metrics.metric import OTHER, Metric
from asgi_realtime.metrics.recorded import Counter, Histogram, check_labels

_Key: TypeAlias = tuple[str, frozenset[tuple[str, str]]]


class Counters:
    """The counters of a metric by the values of some labels, each made when it is first needed."""

    __slots__ = ("_labels", "_meter", "_metric", "_of", "_rest")

    def __init__(self, meter: Meter, metric: Metric, by: Sequence[str], rest: dict[str, str]) -> None:
        check_labels(metric, "counter", [*by, *rest])
        self._meter = meter
        self._metric = metric
        self._labels = by
        self._rest = rest
        self._of: dict[tuple[str, ...], Counter] = {}
        if len(by) == 1:
            for value in metric.labels[by[0]]:
                self._counter((value,))  # so that the host sees zeros

    def add(self, *values: str) -> None:
        """Add 1 to the counter with these values. One that is not declared counts as `other`."""
        declared = self._metric.labels
        self._counter(
            tuple(
                [
                    value if value in declared[label] or not declared[label] else OTHER
                    for label, value in zip(self._labels, values, strict=True)
                ]
            )
        ).value += 1

    def _counter(self, values: tuple[str, ...]) -> Counter:
        counter = self._of.get(values)
        if counter is None:
            labels = self._rest | dict(zip(self._labels, values, strict=True))
            counter = self._of[values] = self._meter.counter(self._metric, **labels)
        return counter


class Meter:
    """The metrics of one process, or of nothing: None as the host's metrics."""

    def __init__(self, metrics: Metrics | None = None) -> None:
        self._metrics = metrics
        self.on = metrics is not None
        """Whether the host wants metrics."""
        self._counters: dict[_Key, _PassedCounter] = {}
        self._histograms: dict[_Key, tuple[Histogram, Callable[[Sequence[int], float], object]]] = {}
        self._gauges: dict[_Key, _PassedGauge] = {}
        if metrics is not None:
            metrics.attach(self.transfer)

    def counter(self, metric: Metric, **labels: str) -> Counter:
        """The counter of a metric with these labels. The same for every caller.

        Raises:
            ValueError: for labels that are not declared, as all methods.
        """
        check_labels(metric, "counter", labels)
        if self._metrics is None:
            return Counter()
        key = _key(metric, labels)
        if key not in self._counters:
            self._counters[key] = _PassedCounter(self._metrics.counter(metric, labels))
        return self._counters[key].counter

    def counters(self, metric: Metric, *by: str, **labels: str) -> Counters:
        """The counters of a metric with these labels, by the values of the labels `by`."""
        return Counters(self, metric, by, labels)

    def histogram(self, metric: Metric, **labels: str) -> Histogram:
        """The histogram of a metric with these labels. The same for every caller."""
        check_labels(metric, "histogram", labels)
        if self._metrics is None:
            return Histogram(metric.buckets)
        key = _key(metric, labels)
        if key not in self._histograms:
            self._histograms[key] = Histogram(metric.buckets), self._metrics.histogram(metric, labels)
        return self._histograms[key][0]

    def gauge(self, metric: Metric, read: Callable[[], float], **labels: str) -> None:
        """Read a gauge by this call from now on, at each transfer."""
        check_labels(metric, "gauge", labels)
        if self._metrics is None:
            return
        key = _key(metric, labels)
        if key in self._gauges:
            self._gauges[key].read = read
        else:
            self._gauges[key] = _PassedGauge(read, self._metrics.gauge(metric, labels))

    def transfer(self) -> None:
        """Pass on everything that has changed since the last call."""
        for counter in list(self._counters.values()):
            counter.transfer()
        for gauge in list(self._gauges.values()):
            gauge.transfer()
        for histogram, record in list(self._histograms.values()):
            if (taken := histogram.take()) is not None:
                record(*taken)


class _PassedCounter:
    __slots__ = ("_add", "_passed", "counter")

    def __init__(self, add: Callable[[float], object]) -> None:
        self.counter = Counter()
        self._add = add
        self._passed = 0

    def transfer(self) -> None:
        value = self.counter.value
        if value != self._passed:
            added, self._passed = value - self._passed, value
            self._add(added)


class _PassedGauge:
    __slots__ = ("_set", "_passed", "read")

    def __init__(self, read: Callable[[], float], set_: Callable[[float], object]) -> None:
        self.read = read
        self._set = set_
        self._passed = math.nan

    def transfer(self) -> None:
        value = self.read()
        if value != self._passed:
            self._passed = value
            self._set(value)


def _key(metric: Metric, labels: dict[str, str]) -> _Key:
    return metric.name, frozenset(labels.items())
