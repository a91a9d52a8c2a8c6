"""A server process under test."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType

from benchmarks import processes
from benchmarks.catalogue import HERE, System
from benchmarks.processes import CPU

_START_SECONDS = 30
_IDLE_SECONDS = 0.1
_IDLE_SHARE = 0.01
"""A server that uses less of a processor is idle."""


class BrokenRun(Exception):
    """A measurement that cannot be trusted: a message was lost, a server died, or an answer did not arrive."""


class Server:
    """One system on a free port and its own processor. Use it with `with`.

    `variables` are added to its environment, after its settings.
    """

    def __init__(
        self, system: System, processor: int | None, log: Path, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self.port = processes.free_port()
        self._log = log
        command = [part.format(port=self.port) for part in system.command]
        environment = {**os.environ, "NODE_ENV": "production", **system.settings, **variables}
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

    def kill(self) -> None:
        """End it at once."""
        self._process.kill()

    def terminate(self) -> None:
        """Ask it to end, as a supervisor does."""
        self._process.terminate()

    def _stop(self) -> None:
        for pid in reversed(processes.family(self._process.pid) if self._process.poll() is None else []):
            os.kill(pid, 9)
        self._process.wait()

    def cpu(self) -> CPU:
        """Processor time used so far."""
        return processes.cpu(self._process.pid)

    def settled_cpu(self, seconds: float = 5.0) -> CPU:
        """Processor time used when it is idle, or after some seconds."""
        used, deadline = self.cpu(), time.monotonic() + seconds
        while time.monotonic() < deadline:
            time.sleep(_IDLE_SECONDS)
            before, used = used, self.cpu()
            if used.since(before).total < _IDLE_SHARE * _IDLE_SECONDS:
                break
        return used

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
