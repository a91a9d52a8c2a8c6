"""`asgi-realtime monitoring`: the files that a monitoring system reads."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import click

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.files import write_file

_PREFIX = re.compile(r"\brealtime(?=_[a-z])")
"""How the names of metrics begin in the files."""


@click.group()
def monitoring() -> None:
    """Print a dashboard of Grafana, or alert rules of Prometheus."""


def _print(file: str, output: Path | None, prefix: str) -> None:
    if not re.fullmatch(r"[a-zA-Z_][a-zA-Z0-9_]*", prefix):
        raise click.BadParameter("it is no name of a metric", param_hint="'--prefix'")
    text = _PREFIX.sub(prefix, (files("asgi_realtime") / "monitoring" / file).read_text(encoding="utf-8"))
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(text, output)


_output = click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: print.")
_prefix = click.option(
    "--prefix", default="realtime", show_default=True, metavar="NAME", help="As in PrometheusMetrics(prefix=NAME)."
)


@monitoring.command(epilog=examples("asgi-realtime monitoring dashboard --output dashboard.json"))
@_output
@_prefix
def dashboard(output: Path | None, prefix: str) -> None:
    """Print the dashboard of Grafana (JSON). Import it, or provision it."""
    _print("dashboard.json", output, prefix)


@monitoring.command(epilog=examples("asgi-realtime monitoring alerts --output /etc/prometheus/realtime.yaml"))
@_output
@_prefix
def alerts(output: Path | None, prefix: str) -> None:
    """Print the alert rules of Prometheus (YAML), for its rule_files."""
    _print("alerts.yaml", output, prefix)
