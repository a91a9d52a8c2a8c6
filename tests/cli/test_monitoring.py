"""`asgi-realtime monitoring`: the files of the package, with the prefix of the app's metrics."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from asgi_realtime.cli.commands import main
from tests.support.monitoring_files import ALERTS_FILE, DASHBOARD
from tests.support.promql import names_in
from tests.support.promtool import promtool


def run(*arguments: str) -> str:
    done = CliRunner().invoke(main, ["monitoring", *arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_the_files_are_printed_and_written(tmp_path: Path) -> None:
    assert json.loads(run("dashboard")) == DASHBOARD
    file = tmp_path / "new" / "alerts.yaml"
    assert run("alerts", "--output", str(file)) == ""
    assert file.read_text("utf-8") == run("alerts") == ALERTS_FILE.read_text("utf-8")


def test_the_prefix_replaces_the_beginning_of_every_name(tmp_path: Path) -> None:
    dashboard = json.loads(run("dashboard", "--prefix", "mine"))
    found = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    assert {name.partition("_")[0] for each in found for name, _ in names_in(each).selectors} == {"mine"}
    assert dashboard["title"] == DASHBOARD["title"]
    file = tmp_path / "alerts.yaml"
    run("alerts", "--prefix", "mine", "--output", str(file))
    assert "realtime_" not in file.read_text("utf-8").replace("asgi_realtime", "")
    promtool("check", "rules", file)


@pytest.mark.parametrize("prefix", ["", "1st", "my-app", "a\n"])
def test_a_prefix_that_no_metric_can_have_is_refused(prefix: str) -> None:
    done = CliRunner().invoke(main, ["monitoring", "dashboard", "--prefix", prefix])
    assert done.exit_code == 2
    assert "--prefix" in done.stderr
