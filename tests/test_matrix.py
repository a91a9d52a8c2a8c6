"""`make test-matrix` says which environments it cannot run."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.paths import ROOT


def test_a_python_that_is_named_and_not_there_is_reported_and_fails(tmp_path: Path) -> None:
    command = [str(ROOT / "scripts" / "test-matrix"), str(tmp_path), "3.99", "3.98-minimum"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines() == [
        f"{name}: NOT RUN, no Python {version} on the PATH or in ~/.pyenv/versions"
        for name, version in (("3.99", "3.99"), ("3.98-minimum", "3.98"))
    ]
