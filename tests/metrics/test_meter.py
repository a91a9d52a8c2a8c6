"""The meter refuses what is not declared, and passes on each change once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.metrics import Meter, Metric
from tests.support.recorded_metrics import RecordedMetrics

COLOURS = Metric(name="colours_total", kind="counter", labels={"colour": ("red", "blue", "other")}, help="-")
ENDS = Metric(name="ends_total", kind="counter", labels={"gateway": (), "reason": ("left", "other")}, help="-")
ROOMS = Metric(name="rooms", kind="gauge", labels={"gateway": ()}, help="-")
SIZES = Metric(name="sizes", kind="histogram", buckets=(1, 10), help="-")


def test_a_counter_is_the_same_for_every_caller() -> None:
    metrics = RecordedMetrics()
    meter = Meter(metrics)
    meter.counter(COLOURS, colour="red").value += 2
    meter.counter(COLOURS, colour="red").value += 3
    assert metrics.totals == {"colours_total red": 5}
    assert metrics.totals == {"colours_total red": 5}, "passed on twice"


def test_values_that_are_not_declared_are_counted_together() -> None:
    metrics = RecordedMetrics()
    counters = Meter(metrics).counters(COLOURS, "colour")
    for colour in ("red", "green", "yellow", "other"):
        counters.add(colour)
    assert metrics.totals == {"colours_total red": 1, "colours_total blue": 0, "colours_total other": 3}


def test_the_names_of_an_app_are_values() -> None:
    metrics = RecordedMetrics()
    counters = Meter(metrics).counters(ENDS, "gateway", "reason")
    counters.add("/", "left")
    counters.add("/ticker", "struck by lightning")
    assert metrics.totals == {"ends_total / left": 1, "ends_total /ticker other": 1}


def test_a_gauge_is_read_at_each_transfer_and_by_the_last_call() -> None:
    metrics = RecordedMetrics()
    meter, rooms = Meter(metrics), ["one"]
    meter.gauge(ROOMS, lambda: len(rooms), gateway="/")
    assert metrics.totals == {"rooms /": 1}
    rooms.append("two")
    assert metrics.totals == {"rooms /": 2}
    meter.gauge(ROOMS, lambda: 7, gateway="/")
    assert metrics.totals == {"rooms /": 7}


@given(st.lists(st.floats(0, 20)))
def test_a_histogram_counts_each_observation_in_one_bucket(values: list[float]) -> None:
    metrics = RecordedMetrics()
    histogram = Meter(metrics).histogram(SIZES)
    for value in values:
        histogram.observe(value)
        assert metrics.observed["sizes"]  # a transfer in between loses nothing
    counts, total = metrics.observed["sizes"]
    assert counts == [
        len([value for value in values if value <= 1]),
        len([value for value in values if 1 < value <= 10]),
        len([value for value in values if value > 10]),
    ]
    assert total == pytest.approx(sum(values))


@pytest.mark.parametrize("metrics", [None, RecordedMetrics()], ids=["off", "on"])
@pytest.mark.parametrize(
    "use",
    [
        lambda meter: meter.counter(COLOURS),
        lambda meter: meter.counter(COLOURS, colour="green"),
        lambda meter: meter.counter(COLOURS, colour="red", shade="dark"),
        lambda meter: meter.counter(ROOMS, gateway="/"),
        lambda meter: meter.counters(COLOURS, "shade"),
        lambda meter: meter.counters(ENDS, "reason", "reason"),
        lambda meter: meter.counters(ENDS, "reason"),
        lambda meter: meter.counters(ENDS, "reason", reason="left", gateway="/"),
        lambda meter: meter.gauge(COLOURS, lambda: 1, colour="red"),
        lambda meter: meter.gauge(ROOMS, lambda: 1),
        lambda meter: meter.histogram(SIZES, gateway="/"),
        lambda meter: meter.histogram(ROOMS, gateway="/"),
    ],
)
def test_what_is_not_declared_is_refused(use: Callable[[Meter], object], metrics: RecordedMetrics | None) -> None:
    with pytest.raises(ValueError, match="declared"):
        use(Meter(metrics))


def test_without_metrics_everything_works_and_no_gauge_is_read() -> None:
    meter = Meter()
    assert not meter.on
    meter.counter(COLOURS, colour="red").value += 1
    meter.counters(COLOURS, "colour").add("green")
    meter.histogram(SIZES).observe(3)
    meter.gauge(ROOMS, lambda: 1 // 0, gateway="/")
    meter.transfer()
