"""A server process under test."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from types import TracebackType

from benchmarks import processes
from benchmarks.catalogue import HERE, System
from benchmarks.processes import CPU

_START_SECONDS = 30


class BrokenRun(Exception):
    """A measurement that cannot be trusted: a message was lost, a server died, or an answer did not arrive."""


class Server:
    """One system on a free port and its own processor. Use it with `with`."""

    def __init__(self, system: System, processor: int | None, log: Path) -> None:
        self.port = processes.free_port()
        self._log = log
        command = [part.format(port=self.port) for part in system.command]
        environment = {**os.environ, "NODE_ENV": "production"}
        with processes.pinned(processor), log.open("wb") as output:
            self._process = subprocess.Popen(
                command, cwd=HERE.parent, env=environment, stdout=output, stderr=subprocess.STDOUT
            )

    def __enter__(self) -> Server:
        if processes.accepts(self.port, self._process, _START_SECONDS):
            return self
        self._stop()
        raise BrokenRun(f"the server did not start: {self._log.read_text(errors='replace')[-500:]}")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stop()

    def _stop(self) -> None:
        for pid in reversed(processes.family(self._process.pid) if self._process.poll() is None else []):
            os.kill(pid, 9)
        self._process.wait()

    def cpu(self) -> CPU:
        """Processor time used so far."""
        return processes.cpu(self._process.pid)

    def memory(self) -> float:
        """Memory in KB."""
        return processes.memory(self._process.pid)

    def unsent(self) -> int:
        """Bytes that the kernel buffers for the client that has read least."""
        return processes.unsent(self.port)

    def settled_memory(self, seconds: float = 3.0) -> float:
        """Memory in KB when it no longer changes, or after some seconds."""
        readings = [self.memory()]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(0.1)
            readings.append(self.memory())
            if len(readings) > 3 and max(readings[-4:]) - min(readings[-4:]) < 16:
                break
        return readings[-1]
