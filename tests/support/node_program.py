"""Programs of Node that run while a test does, and tell it what happens."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol, TypeVar


class Reader(Protocol):
    """What a test knows of a running program."""

    async def read(self) -> None:
        """Take what the program prints, until it ends."""


R = TypeVar("R", bound=Reader)


@contextlib.asynccontextmanager
async def node_program(program: Path, make: Callable[[asyncio.subprocess.Process], R]) -> AsyncIterator[R]:
    """Run a program, which ends with its stdin, until the block ends. `make` gets its process."""
    process = await asyncio.create_subprocess_exec(
        *("node", str(program)), stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=1 << 26
    )
    reader = make(process)
    reading = asyncio.create_task(reader.read(), name=f"reader of {program.name}")
    try:
        yield reader
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await reading
