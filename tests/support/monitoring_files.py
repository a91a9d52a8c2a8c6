"""The files for monitoring systems that come with the package, and the series that a process has."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec
from prometheus_client import CollectorRegistry

from asgi_realtime import PrometheusMetrics
from asgi_realtime.metrics.declarations import METRICS
from tests.support.paths import PACKAGE

DASHBOARD: Final[dict[str, Any]] = json.loads((PACKAGE / "monitoring" / "dashboard.json").read_text("utf-8"))
ALERTS_FILE: Final = PACKAGE / "monitoring" / "alerts.yaml"
ALERTS: Final[list[dict[str, Any]]] = [
    rule for group in msgspec.yaml.decode(ALERTS_FILE.read_text("utf-8"))["groups"] for rule in group["rules"]
]
PANELS: Final[list[dict[str, Any]]] = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
BY_PROMETHEUS: Final = {"job", "instance"}
"""The labels that Prometheus adds."""


class Series(NamedTuple):
    """The series of one name."""

    labels: dict[str, set[str]]
    """Each label with its values."""
    metric: str
    """The name of the declaration."""


def made_series() -> dict[str, Series]:
    """The series that `PrometheusMetrics` makes of all declarations, by name. The app's own labels have one value."""
    found: dict[str, Series] = {}
    for metric in METRICS:
        registry = CollectorRegistry()
        metrics = PrometheusMetrics(registry)
        values = [of_label or (f"some {label}",) for label, of_label in metric.labels.items()]
        for chosen in itertools.product(*values):
            getattr(metrics, metric.kind)(metric, dict(zip(metric.labels, chosen, strict=True)))
        for sample in [sample for family in registry.collect() for sample in family.samples]:
            labels = found.setdefault(sample.name, Series({}, metric.name)).labels
            for label, value in sample.labels.items():
                labels.setdefault(label, set()).add(value)
    return found


def input_series(series: dict[str, Series]) -> Iterator[dict[str, str]]:
    """The same in the notation of promtool, as those of two processes, each growing or constant."""
    for name, (labels, _) in series.items():
        for values in itertools.product(("app",), ("a", "b"), *[sorted(values) for values in labels.values()]):
            matchers = zip(["job", "instance", *labels], values, strict=True)
            text = ",".join(f'{label}="{value}"' for label, value in matchers)
            yield {"series": f"{name}{{{text}}}", "values": "1+1x20"}
