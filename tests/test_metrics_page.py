"""docs/reference/metrics.md lists every metric of the declarations, and the declarations follow Prometheus's rules."""

from __future__ import annotations

import re

import pytest

from asgi_realtime.metrics import Metric
from asgi_realtime.metrics.declarations import METRICS
from tests.support.paths import DOCS

PAGE = (DOCS / "reference/metrics.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `\w+` \| (?:counter|gauge|histogram) \| .+ \|$", PAGE, re.MULTILINE)


def row(metric: Metric) -> str:
    """The row of a metric in the page's table."""
    labels = ", ".join(f"`{name}`" for name in metric.labels)
    return f"| `{metric.name}` | {metric.kind} | {labels}{' ' if labels else ''}| {metric.help} |"


def test_the_page_has_every_metric() -> None:
    assert ROWS == [row(metric) for metric in METRICS]


def test_no_name_is_declared_twice() -> None:
    assert len({metric.name for metric in METRICS}) == len(METRICS)


@pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)
def test_a_declaration_is_consistent(metric: Metric) -> None:
    assert re.fullmatch(r"[a-z][a-z_]*", metric.name)
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    plain = metric.name.removesuffix("_total")
    assert plain.endswith(("_seconds", "_bytes")) == bool(metric.unit)
    assert plain.endswith(metric.unit)
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert metric.help and not metric.help.endswith(".")
    for label, values in metric.labels.items():
        assert re.fullmatch(r"[a-z]+", label)
        assert values or label in ("gateway", "event"), "the values that clients cannot choose"
