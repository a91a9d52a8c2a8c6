"""Prometheus's own tool: it reads rules and evaluates expressions. `scripts/system-packages` fetches it."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.support.paths import ROOT


def promtool(*arguments: str | Path) -> str:
    """Run promtool, and return what it prints. Fails unless it finds nothing wrong."""
    program = shutil.which("promtool") or shutil.which("promtool", path=str(ROOT / ".cache" / "prometheus"))
    assert program is not None, "the tests need promtool of Prometheus; run scripts/system-packages"
    done = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def evaluate(
    folder: Path, series: Sequence[dict[str, str]], expected: Sequence[tuple[str, Sequence[dict[str, Any]]]]
) -> None:
    """Evaluate expressions over made series, which have a value each minute, after 15 minutes.

    Args:
        folder: where a file may be written.
        series: each with `series` and `values`, in the notation of promtool.
        expected: expressions, and the samples that each must have: `{"labels": "{}", "value": 1}`.
    """
    test = {
        "interval": "1m",
        "input_series": series,
        "promql_expr_test": [
            {"expr": expression, "eval_time": "15m", "exp_samples": samples} for expression, samples in expected
        ],
    }
    file = folder / "evaluate.yaml"
    file.write_text(json.dumps({"evaluation_interval": "1m", "tests": [test]}), encoding="utf-8")  # JSON is YAML
    promtool("test", "rules", file)
