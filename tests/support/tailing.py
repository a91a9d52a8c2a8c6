"""`asgi-realtime tail` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from collections.abc import AsyncIterator
from typing import Any

from tests.support.command_line import running_command


class Tail:
    """A running `tail`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line of its output."""
        assert self.process.stdout is not None
        async with asyncio.timeout(10):
            return (await self.process.stdout.readline()).decode()

    async def lines(self, number: int) -> list[Any]:
        """The next lines, which are JSON."""
        return [json.loads(await self.line()) for _ in range(number)]

    async def interrupt(self) -> None:
        """Press Ctrl-C. Nothing else is printed, and it exits with 0."""
        self.process.send_signal(signal.SIGINT)
        async with asyncio.timeout(10):
            output, errors = await self.process.communicate()
        assert (self.process.returncode, output, errors) == (0, b"", b"")


@contextlib.asynccontextmanager
async def following(
    environ: dict[str, str], *arguments: str, stdout: int = asyncio.subprocess.PIPE
) -> AsyncIterator[Tail]:
    """A `tail` that has subscribed."""
    async with running_command(environ, "tail", *arguments, stdout=stdout) as process:
        assert process.stderr is not None
        async with asyncio.timeout(20):
            line = (await process.stderr.readline()).decode()
        assert line.startswith("events to "), line + (await process.stderr.read()).decode()
        yield Tail(process)
