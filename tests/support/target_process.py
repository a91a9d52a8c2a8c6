"""A server in a separate process, to measure its memory and read its output."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from tests.support.paths import ROOT
from tests.support.servers import LiveServer

START_SECONDS = 60.0
_LISTENING = re.compile(rb"(?:[Rr]unning on http://|Listening at: http://|Listening on TCP address )127\.0\.0\.1:(\d+)")


class Process:
    """A running server: its address, its memory and its output."""

    def __init__(self, process: asyncio.subprocess.Process, output: Path) -> None:
        self._process = process
        self._output = output
        self.server: LiveServer

    @property
    def output(self) -> str:
        """The output so far, of both streams."""
        return self._output.read_text(errors="replace")

    def forget_peak(self) -> int:
        """Start to measure memory. Returns the bytes that are resident now."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")
        return self._memory("VmRSS")

    @property
    def peak(self) -> int:
        """The most bytes that were resident at once since `forget_peak`."""
        return self._memory("VmHWM")

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition(f"{name}:")[2].split()[0]) * 1024

    async def started(self) -> None:
        """Wait until it listens."""
        async with asyncio.timeout(START_SECONDS):
            while (listening := _LISTENING.search(self._output.read_bytes())) is None:
                assert self._process.returncode is None, self.output
                await asyncio.sleep(0.02)  # its output is a file, which cannot be awaited
        self.server = LiveServer(int(listening[1]), self.stop)

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    async def ended(self) -> int:
        """Wait until it has ended. Returns the exit code, negative for a signal."""
        async with asyncio.timeout(START_SECONDS):
            return await self._process.wait()

    async def stop(self) -> None:
        """Stop it gracefully, and fail unless it exits cleanly."""
        if self._process.returncode is None:
            self._process.terminate()
            async with asyncio.timeout(START_SECONDS):
                await self._process.wait()


@contextlib.asynccontextmanager
async def target_process(
    folder: Path,
    *arguments: str,
    module: str = "tests.support.target_app",
    environ: dict[str, str] | None = None,
    cwd: Path = ROOT,
    in_test: bool = True,
) -> AsyncIterator[Process]:
    """Run `python -m module` with these arguments and variables until the block ends.

    `in_test`: whether the environment shows that a test has started it.
    """
    output = folder / "output"
    with output.open("wb") as file:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module, *arguments),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            cwd=cwd,
            env={
                name: value
                for name, value in os.environ.items()
                if not name.startswith("MEW_") and (in_test or name != "PYTEST_CURRENT_TEST")
            }
            | {"MEW_DEV": "true", "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
            | (environ or {}),
        )
    running = Process(process, output)
    try:
        await running.started()
        yield running
    finally:
        try:
            await running.stop()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
