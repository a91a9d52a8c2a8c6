"""The programs of the project refuse unknown arguments and wrong values."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.paths import ROOT

FOLDERS = ("asgi_realtime", "benchmarks", "clients/typescript/tests", "examples", "tests")
FILES = sorted(
    file for folder in FOLDERS for file in (ROOT / folder).glob("**/*.py") if "node_modules" not in file.parts
)
MAIN = 'if __name__ == "__main__":'
PROGRAMS = [
    ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
    for file in FILES
    if f"\n{MAIN}\n" in file.read_text("utf-8")
]


def test_programs_are_found() -> None:
    assert {"asgi_realtime", "benchmarks.publish", "examples.cluster", "tests.support.echo_app"} <= set(PROGRAMS)


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_refuses_an_unknown_option(program: str) -> None:
    command = [sys.executable, "-m", program, "--no-such-option"]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PORT": "0"}, capture_output=True, text=True, timeout=30
    )
    assert done.returncode == 2, done.stderr
    assert "--no-such-option" in done.stderr or "usage: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("program", "options", "port", "message"),
    [
        *(
            (program, [], "http", "PORT must be a number")
            for program in ("examples.fastapi_app", "examples.flask_adapter", "examples.cluster")
        ),
        ("examples.cluster", ["--workers", "0"], "0", "--workers must be 1 or more"),
    ],
)
def test_an_example_refuses_a_wrong_value_in_one_line(
    program: str, options: list[str], port: str, message: str
) -> None:
    command = [sys.executable, "-m", program, *options]
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PORT": port}, capture_output=True, text=True, timeout=30
    )
    assert message in done.stderr.splitlines()[-1], done.stderr
