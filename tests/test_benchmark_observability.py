"""Metrics and tracing that are not used cost nothing: no import, and almost no instruction."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from benchmarks.observability.imports import imported
from benchmarks.observability.unhooked import HOOKS, make_unhooked
from tests.support.paths import ROOT


def test_an_app_imports_no_package_that_it_does_not_use() -> None:
    assert imported() == []


def test_the_statements_that_are_compared_are_all_of_those_on_the_way(tmp_path: Path) -> None:
    """A copy without them mentions metrics on the way of an event and of a broadcast only where they are set up."""
    folder = make_unhooked(tmp_path / "unhooked") / "asgi_realtime"
    for name in {name for name, _ in HOOKS}:
        text = (folder / name).read_text("utf-8")
        assert not re.findall(r"\.(?:value \+= |observe\(|timed\(|waited\(|add_parts\()", text), name


def test_the_benchmark_prints_a_row_for_each_kind() -> None:
    options = ["--repeats", "1", "--rounds", "1", "--works", "event", "answered", "--kinds", "none", "metrics"]
    command = [sys.executable, "-m", "benchmarks.observability", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    rows = re.findall(r"^\| (none|off|metrics) \| ([\d.]+)", done.stdout, re.MULTILINE)
    assert [kind for kind, _ in rows] == ["off", "none", "metrics"] * 2
    assert all(float(cost) > 0 for _, cost in rows)
