"""Budgets of a transport: a burst, then a rate per second. After the first excess the budget stays exhausted."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.runtime.budgets import Budget, Budgets
from tests.support.recorded_metrics import RecordedMetrics


@pytest.mark.parametrize("now", [0.0, 1.5, 86_400.0 * 365])
@pytest.mark.parametrize(("rate", "burst"), [(20.0, 200), (100.0, 1_000), (0.001, 1), (3.0, 7)])
def test_a_burst_is_exact_and_the_next_one_is_over(rate: float, burst: int, now: float) -> None:
    budget, refilled_at = Budget("attempts", rate, burst), 0.0
    for _ in range(burst):
        refilled_at = budget.consume(refilled_at, now)
        assert refilled_at != math.inf
    assert budget.consume(refilled_at, now) == math.inf


@given(
    rate=st.floats(0.1, 1000),
    burst=st.integers(1, 50),
    waits=st.lists(st.floats(0, 2), max_size=200),
)
def test_no_transport_uses_more_than_its_rate(rate: float, burst: int, waits: list[float]) -> None:
    budget, refilled_at, now = Budget("control", rate, burst), 0.0, 100.0
    drawn: list[float] = []
    for wait in waits:
        now += wait
        after = budget.consume(refilled_at, now)
        if after == math.inf:
            continue  # as if it had not been closed: it must wait
        refilled_at = after
        drawn.append(now)
        for first in range(len(drawn)):
            assert len(drawn) - first <= burst + rate * (now - drawn[first]) + 0.01


@given(rate=st.floats(0.1, 1000), burst=st.integers(1, 50), count=st.integers(1, 200))
def test_a_transport_at_its_rate_is_never_over(rate: float, burst: int, count: int) -> None:
    budget, refilled_at = Budget("control", rate, burst), 0.0
    for number in range(count):
        refilled_at = budget.consume(refilled_at, 100.0 + number / rate)
        assert refilled_at != math.inf


def test_an_exhausted_budget_stays_exhausted_and_counts_once() -> None:
    metrics = RecordedMetrics()
    meter = Meter(metrics)
    budgets = Budgets(Limits(attempt_burst=1, control_burst=1), meter)
    for budget, kind in ((budgets.attempts, "attempts"), (budgets.control, "control")):
        refilled_at = budget.consume(budget.consume(0.0, 1.0), 1.0)
        assert refilled_at == math.inf
        assert budget.consume(refilled_at, 1e9) == math.inf
        assert metrics.totals[f"over_budget_total {kind}"] == 1
