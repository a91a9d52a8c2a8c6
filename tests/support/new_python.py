"""Programs that run in a Python process of their own, such as those that look at what was imported."""

from __future__ import annotations

import subprocess
import sys

from tests.support.paths import ROOT

SECONDS = 60.0


def printed_by(program: str) -> str:
    """Run a program to its end in the folder of the project, and return what it prints.

    Raises:
        AssertionError: it failed, with what it wrote to stderr.
    """
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=SECONDS, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
