"""The command line in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import pty
import subprocess
import sys
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path

from click.testing import CliRunner

from asgi_realtime.cli.commands import main
from tests.support.paths import ROOT


async def invoke(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run a command in a thread of this process. Returns exit code, output and errors."""
    done = await asyncio.to_thread(CliRunner(env=environ).invoke, main, arguments)
    return done.exit_code, done.stdout, done.stderr


@contextlib.asynccontextmanager
async def running_command(
    environ: dict[str, str], *arguments: str, stdout: int = asyncio.subprocess.PIPE
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a command that does not end by itself, until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asgi_realtime", *arguments),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=_environment(environ),
        limit=1 << 20,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def command(environ: dict[str, str], *arguments: str, stdin: str = "") -> tuple[int, str, str]:
    """Run `asgi-realtime` with some variables of its own and no others. Returns exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asgi_realtime", *arguments),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env=_environment(environ),
    )
    output, errors = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()


def on_a_terminal(environ: dict[str, str], *arguments: str, typed: str = "") -> str:
    """Run `asgi-realtime` on a real terminal of 60 columns, and return what it prints there. `typed`: the input."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "asgi_realtime", *arguments],
        cwd=ROOT,
        env={**_environment(environ), "TERM": "xterm-256color", "COLUMNS": "60"},
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    output = b""
    os.write(ours, typed.encode())
    with open(ours, "rb", buffering=0) as terminal, contextlib.suppress(OSError):  # EIO: the process has ended
        while data := terminal.read(65_536):
            output += data
    process.wait()
    return output.decode()


def _environment(own: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith(_PREFIXES)} | own


_PREFIXES = ("MEW_", "ASGI_REALTIME_", "WS_", "CORS_ORIGIN", "NO_COLOR", "FORCE_COLOR")


def install_script(folder: Path) -> Path:
    """Write the script `asgi-realtime` as an installer does. Returns its path."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["scripts"]
    module, _, function = scripts["asgi-realtime"].partition(":")
    script = folder / "asgi-realtime"
    script.write_text(
        f"#!{sys.executable}\nimport sys\nsys.path.insert(0, {str(ROOT)!r})\n"
        f"from {module} import {function}\nsys.exit({function}())\n"
    )
    script.chmod(0o755)
    return script
