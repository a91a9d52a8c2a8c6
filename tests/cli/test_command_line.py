"""The script `asgi-realtime`: the same as `python -m asgi_realtime`, with completion by the shell."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command_line import install_script
from tests.support.paths import DOCS, ROOT

PAGE = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "code"), [(["--help"], 0), (["emit", "--help"], 0), ([], 2), (["no-such-command"], 2)]
)
def test_the_script_is_the_same_as_the_module(tmp_path: Path, arguments: list[str], code: int) -> None:
    script, module = (
        subprocess.run([*program, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=60)
        for program in ([install_script(tmp_path)], [sys.executable, "-m", "asgi_realtime"])
    )
    assert (script.returncode, module.returncode) == (code, code)
    assert "Usage: asgi-realtime" in script.stdout + script.stderr
    assert script.stdout == module.stdout.replace("python -m asgi_realtime", "asgi-realtime")
    assert script.stderr == module.stderr.replace("python -m asgi_realtime", "asgi-realtime")


def test_bash_completes_commands_and_options_after_the_documented_line(tmp_path: Path) -> None:
    install_script(tmp_path)
    [line] = re.findall(r"^```bash\n(.+)\n```$", PAGE, re.MULTILINE)
    program = f"""
        {line}
        complete_words() {{
            COMPREPLY=(); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
            _asgi_realtime_completion "$1"
            echo "${{COMPREPLY[@]}}"
        }}
        complete_words asgi-realtime em
        complete_words asgi-realtime emit --vol
        complete_words asgi-realtime no
        complete_words asgi-realtime us
        complete_words asgi-realtime kick --conn
        complete_words asgi-realtime tail --sin
    """
    done = subprocess.run(
        ["bash", "-c", program],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    completed = ["emit", "--volatile", "nodes", "users", "--connection", "--since"]
    assert done.stdout.split() == completed, done.stderr
