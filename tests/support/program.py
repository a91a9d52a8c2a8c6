"""A program of the tests in a process of its own. It writes results as lines of JSON, and reads commands."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

from tests.support.paths import ROOT


class Program:
    """A running program."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def result(self, seconds: float) -> Any:
        """Wait for its next line, and return what it says.

        Raises:
            TimeoutError: none came.
        """
        assert self._process.stdout is not None
        async with asyncio.timeout(seconds):
            line = await self._process.stdout.readline()
        assert line, "the program ended; see its standard error"
        return json.loads(line)

    def tell(self, command: str) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)


@contextlib.asynccontextmanager
async def program(module: str, **parameters: Any) -> AsyncIterator[Program]:
    """Run `python -m module` with parameters as JSON until the block ends."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", module, json.dumps(parameters)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        limit=1 << 24,
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
