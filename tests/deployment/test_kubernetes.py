"""The manifests of docs/operations/deployment.md fit the Dockerfile, the settings and the metrics of the package."""

from __future__ import annotations

from typing import Any, Final

import yaml

from asgi_realtime import Settings
from asgi_realtime.metrics.declarations import CONNECTIONS
from asgi_realtime.settings import unknown_variables
from examples.fastapi_app.app import create_app
from tests.support.dockerfile import instructions
from tests.support.paths import DEPLOYMENT

MANIFESTS: Final[dict[str, Any]] = {
    manifest["kind"]: manifest for manifest in yaml.safe_load_all((DEPLOYMENT / "kubernetes.yaml").read_text("utf-8"))
}
POD: Final[Any] = MANIFESTS["Deployment"]["spec"]["template"]["spec"]
[CONTAINER] = POD["containers"]
ENVIRON: Final = {each["name"]: each["value"] for each in CONTAINER["env"]}


def test_a_pod_has_time_to_close_its_clients() -> None:
    assert unknown_variables(ENVIRON) == {}
    settings = Settings.from_env(ENVIRON)
    probe = CONTAINER["readinessProbe"]
    assert settings.shutdown_delay > probe["periodSeconds"] * probe["failureThreshold"] + 5
    assert POD["terminationGracePeriodSeconds"] >= settings.shutdown_delay + settings.drain_timeout + 10


def test_the_probes_are_routes_of_mew() -> None:
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    paths = {getattr(route, "path", None) for route in create_app(settings, "sqlite://").routes}
    for kind in ("readinessProbe", "livenessProbe", "startupProbe"):
        assert CONTAINER[kind]["httpGet"]["path"] in paths


def test_prometheus_finds_the_metrics_of_mew() -> None:
    template = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]
    about = {name.removeprefix("prometheus.io/"): text for name, text in template["annotations"].items()}
    assert about == {"scrape": "true", "port": str(CONTAINER["ports"][0]["containerPort"]), "path": "/metrics"}
    settings = Settings(jwt_secret="a secret for tests that is long enough")
    assert about["path"] in {getattr(route, "path", None) for route in create_app(settings, "sqlite://").routes}


def test_the_pod_runs_as_the_user_of_the_image_on_its_port() -> None:
    lines = dict(instructions(DEPLOYMENT / "Dockerfile"))
    assert CONTAINER["securityContext"]["runAsUser"] == int(lines["USER"])
    assert [port["containerPort"] for port in CONTAINER["ports"]] == [int(lines["EXPOSE"])]


def test_every_selector_finds_the_pods() -> None:
    labels = MANIFESTS["Deployment"]["spec"]["template"]["metadata"]["labels"]
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert MANIFESTS[kind]["spec"]["selector"]["matchLabels"] == labels
    assert MANIFESTS["Service"]["spec"]["selector"] == labels
    assert (
        MANIFESTS["HorizontalPodAutoscaler"]["spec"]["scaleTargetRef"]["name"]
        == (MANIFESTS["Deployment"]["metadata"]["name"])
    )


def test_the_autoscaler_reads_a_metric_of_the_package() -> None:
    [metric] = MANIFESTS["HorizontalPodAutoscaler"]["spec"]["metrics"]
    assert metric["pods"]["metric"]["name"] == f"realtime_{CONNECTIONS.name}"
