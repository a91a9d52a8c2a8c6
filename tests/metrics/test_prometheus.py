"""`PrometheusMetrics` behind FastAPI, read as Prometheus reads it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import websockets
from fastapi import FastAPI
from prometheus_client import CollectorRegistry
from prometheus_client import Metric as Family
from prometheus_client.parser import text_string_to_metric_families
from starlette.applications import Starlette
from starlette.routing import Mount, Route

from asgi_realtime import Metric, PrometheusMetrics, RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import METRICS, OPENED
from asgi_realtime.testing import RealtimeTestClient
from tests.support.new_python import printed_by
from tests.support.paths import ROOT
from tests.support.servers import Serve

SIZES = Metric(name="sizes_bytes", kind="histogram", unit="bytes", buckets=(1, 10), labels={"gateway": ()}, help="-")
SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes")


def parsed(text: str) -> dict[str, Family]:
    return {family.name: family for family in text_string_to_metric_families(text)}


async def test_the_route_shows_what_happens() -> None:
    metrics = PrometheusMetrics(CollectorRegistry())
    app = FastAPI()
    app.add_middleware(RealtimeMiddleware, gateways=[SocketIOGateway()], settings=SETTINGS, metrics=metrics)
    app.router.routes.append(Route("/metrics", metrics.app))
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ann")):
        page = await client.http.get("/metrics")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/plain")
    families = parsed(page.text)
    [connections] = [each for each in families["realtime_connections"].samples if each.labels == {"gateway": "/"}]
    assert connections.value == 1
    assert families["realtime_connections"].documentation == "connections that are open or being opened"


async def test_a_websocket_is_refused(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    server = await serve(Starlette(routes=[Mount("/metrics", PrometheusMetrics(CollectorRegistry()).app)]))
    with pytest.raises(websockets.InvalidStatus, match="403"):
        await websockets.connect(server.websocket_url + "/metrics/")
    assert "Exception" not in caplog.text


async def test_names_kinds_and_labels_are_those_of_the_declarations() -> None:
    metrics = PrometheusMetrics(CollectorRegistry(), prefix="mine")
    for metric in METRICS:
        labels = {name: (values or ("/",))[0] for name, values in metric.labels.items()}
        getattr(metrics, metric.kind)(metric, labels)
    app = FastAPI(routes=[Route("/metrics", metrics.app)])
    async with RealtimeTestClient(RealtimeMiddleware(app, gateways=[], settings=SETTINGS)) as client:
        families = parsed((await client.http.get("/metrics")).text)
    by_name = {name: family for name, family in families.items() if not name.endswith("_created")}
    assert {name: family.type for name, family in by_name.items()} == {
        f"mine_{metric.name.removesuffix('_total')}": metric.kind for metric in METRICS
    }
    for metric in METRICS:
        family = by_name[f"mine_{metric.name.removesuffix('_total')}"]
        assert {label for sample in family.samples for label in sample.labels} - {"le"} == set(metric.labels)
        assert "](" not in family.documentation


def test_observations_arrive_in_their_buckets() -> None:
    registry = CollectorRegistry()
    meter = Meter(PrometheusMetrics(registry))
    histogram = meter.histogram(SIZES, gateway="/")
    for value in (0.5, 1, 5, 11, 12):
        histogram.observe(value)
    meter.transfer()
    histogram.observe(2)
    meter.transfer()

    def sample(name: str, **labels: str) -> float | None:
        return registry.get_sample_value(f"realtime_sizes_bytes_{name}", {"gateway": "/", **labels})

    assert [sample("bucket", le=bound) for bound in ("1.0", "10.0", "+Inf")] == [2, 4, 6]
    assert sample("count") == 6
    assert sample("sum") == 31.5


PROGRAM = """
import asyncio, sys
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.routing import Route
from asgi_realtime import PrometheusMetrics, RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.testing import RealtimeTestClient

async def main():
    metrics = PrometheusMetrics(CollectorRegistry())
    settings = Settings(jwt_secret="a secret of at least thirty-two bytes")
    host = Starlette(routes=[Route("/metrics", metrics.app)])
    app = RealtimeMiddleware(host, gateways=[SocketIOGateway()], settings=settings, metrics=metrics)
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ann")):
        page = await client.http.get("/metrics")
        if sys.argv[1] == "show":
            print(page.text)
        else:
            print("ready", flush=True)
            sys.stdin.readline()

asyncio.run(main())
"""


def test_several_processes_are_added_up(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}

    def start(how: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, how],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    with start("wait") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "ready\n"
        with start("show") as shown:
            text, _ = shown.communicate(timeout=60)
        other.communicate("\n", timeout=60)
    families = parsed(text)
    assert [sample.value for sample in families["realtime_connections"].samples] == [2]
    opened = {each.labels["transport"]: each.value for each in families["realtime_engineio_sessions_opened"].samples}
    assert opened == {"polling": 0, "websocket": 2}


def test_without_the_extra_the_error_says_what_to_install() -> None:
    program = (
        "import sys; sys.modules['prometheus_client'] = None; import asgi_realtime\n"
        "try:\n    asgi_realtime.PrometheusMetrics\nexcept ImportError as error:\n    print(error)"
    )
    assert "pip install 'asgi_realtime[metrics]'" in printed_by(program)


def test_a_registry_takes_one_object() -> None:
    registry = CollectorRegistry()
    for metrics in (PrometheusMetrics(registry), PrometheusMetrics(registry, prefix="other")):
        metrics.counter(OPENED, {"gateway": "/"})
    with pytest.raises(ValueError, match="Duplicated"):
        PrometheusMetrics(registry).counter(OPENED, {"gateway": "/"})
