"""Every metric that is declared moves in a test of this folder, and every mark names one that is declared."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import DRAIN_TIMEOUTS, LOOP_LAG_SECONDS, METRICS, TASKS
from tests import metrics as folder
from tests.support.moved_metrics import MOVING, moves
from tests.support.recorded_metrics import RecordedMetrics


def test_every_metric_moves_in_a_test() -> None:
    for module in pkgutil.iter_modules(folder.__path__):
        importlib.import_module(f"{folder.__name__}.{module.name}")
    assert MOVING == {metric.name for metric in METRICS}


@pytest.mark.parametrize("works", [True, False])
async def test_a_test_fails_if_its_metrics_do_not_move(works: bool) -> None:
    marked = set(MOVING)

    @moves(DRAIN_TIMEOUTS, TASKS, LOOP_LAG_SECONDS)
    async def test_inner() -> None:
        metrics = RecordedMetrics()
        meter, tasks = Meter(metrics), [1]
        meter.gauge(TASKS, lambda: len(tasks))
        assert metrics.totals["tasks"] == 1
        meter.counter(DRAIN_TIMEOUTS).value += 1
        meter.histogram(LOOP_LAG_SECONDS).observe(0.0)
        if works:
            tasks.append(2)
        assert metrics.totals["drain_timeouts_total"] == 1

    MOVING.clear()
    MOVING.update(marked)
    if works:
        await test_inner()
    else:
        with pytest.raises(AssertionError, match="did not move: {'tasks'}"):
            await test_inner()
