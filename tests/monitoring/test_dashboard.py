"""The dashboard of Grafana: every expression gives a result over the series that a process has, and names no others."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from typing import Any

import pytest

from asgi_realtime.metrics.declarations import METRICS
from tests.support.monitoring_files import BY_PROMETHEUS, DASHBOARD, PANELS, input_series, made_series
from tests.support.promql import names_in
from tests.support.promtool import evaluate

SERIES = made_series()
TARGETS = [(panel["title"], target["expr"], target["legendFormat"]) for panel in PANELS for target in panel["targets"]]
VARIABLES = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}


def test_every_panel_has_a_result(tmp_path: Path) -> None:
    """`count` of an expression is nothing, and not 1 or more, if a name or a label's value does not exist."""
    one = [{"labels": "{}", "value": 1}]
    values = {"$job": "app", "$instance": ".*", "$gateway": ".*", "$__rate_interval": "5m"}
    expected = []
    for _, expression, _ in TARGETS:
        for name, value in values.items():
            expression = expression.replace(name, value)
        expected.append((f"count({expression}) > bool 0", one))
    evaluate(tmp_path, list(input_series(SERIES)), expected)


@pytest.mark.parametrize(("title", "expression", "legend"), TARGETS)
def test_a_panel_names_only_what_is_declared(title: str, expression: str, legend: str) -> None:
    selectors, grouping = names_in(expression)
    assert selectors
    for name, matchers in selectors:
        labels = SERIES[name].labels
        for label, value in matchers.items():
            assert label in {*labels, *BY_PROMETHEUS}
            assert value in (f"${label}", *labels.get(label, ()))
        assert grouping <= {*labels, *BY_PROMETHEUS}
        assert ("gateway" in matchers) == ("gateway" in labels), "the variables limit every panel that they can"
        assert matchers.keys() >= BY_PROMETHEUS
    assert set(re.findall(r"{{(\w+)}}", legend)) == grouping - {"le"}
    assert set(re.findall(r"\$(\w+)", expression)) <= {*VARIABLES, "__rate_interval"}


def test_every_metric_is_in_a_panel() -> None:
    shown = {SERIES[name].metric for _, expression, _ in TARGETS for name, _ in names_in(expression).selectors}
    assert shown == {metric.name for metric in METRICS}


def test_variables_read_series_that_exist() -> None:
    queries = [variable["query"] for variable in VARIABLES.values() if variable["type"] == "query"]
    for query in queries:
        name, label = re.fullmatch(r"label_values\((\w+)(?:{.*})?, (\w+)\)", query).groups()  # type: ignore[union-attr]
        assert label in {*SERIES[name].labels, *BY_PROMETHEUS}
    assert len(queries) == 3
    assert VARIABLES["datasource"] == {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
    }


def test_panels_are_complete_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels) > 40
    for one, other in itertools.combinations([panel["gridPos"] for panel in panels], 2):
        assert not overlap(one, other)
    for panel in PANELS:
        assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24
        assert panel["description"].endswith(".")
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


def overlap(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return bool(
        one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    )
