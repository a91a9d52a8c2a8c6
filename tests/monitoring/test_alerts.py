"""The alert rules of Prometheus: its own tool reads them, and runs their unit tests."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.monitoring_files import ALERTS, ALERTS_FILE, BY_PROMETHEUS, made_series
from tests.support.paths import DOCS
from tests.support.promql import names_in
from tests.support.promtool import promtool

TESTS = Path(__file__).parent / "alerts_test.yaml"
PAGE = (DOCS / "operations/monitoring.md").read_text("utf-8")
SERIES = made_series()


def test_prometheus_reads_the_rules() -> None:
    assert f"SUCCESS: {len(ALERTS)} rules found" in promtool("check", "rules", ALERTS_FILE)


def test_every_alert_fires_when_it_should_and_none_in_a_quiet_hour() -> None:
    assert "SUCCESS" in promtool("test", "rules", TESTS)
    tested = re.findall(r'alertname="(\w+)"', TESTS.read_text("utf-8"))
    assert tested == [rule["alert"] for rule in ALERTS]


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: rule["alert"])
def test_a_rule_names_only_what_is_declared(rule: dict[str, Any]) -> None:
    selectors, grouping = names_in(rule["expr"])
    assert selectors
    for name, matchers in selectors:
        labels = SERIES[name].labels
        for label, value in matchers.items():
            assert value in labels[label]
        assert grouping <= {*labels, *BY_PROMETHEUS}
    used = re.findall(r"\$labels\.(\w+)", " ".join(rule["annotations"].values()))
    assert set(used) <= grouping - {"le"}


def test_every_alert_says_what_to_do_and_is_on_the_page() -> None:
    for rule in ALERTS:
        assert rule["annotations"].keys() == {"summary", "description"}
        assert all(text.endswith(".") for text in rule["annotations"].values())
        assert rule["labels"]["severity"] in ("warning", "critical")
    listed = re.findall(r"^\| `(Realtime\w+)` \| (\w+) \|", PAGE, re.MULTILINE)
    assert listed == [(rule["alert"], rule["labels"]["severity"]) for rule in ALERTS]
