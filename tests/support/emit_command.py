"""`python -m asgi_realtime emit` in a process of its own."""

from __future__ import annotations

import asyncio
import os
import sys

from tests.support.paths import ROOT


async def emit(environ: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    """Run the command. Returns exit code, output and errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "asgi_realtime", "emit", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if not name.startswith("MEW_")} | environ,
    )
    output, errors = await process.communicate()
    assert process.returncode is not None
    return process.returncode, output.decode(), errors.decode()
