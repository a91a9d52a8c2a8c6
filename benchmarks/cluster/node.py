"""One server process of a cluster."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from benchmarks import processes
from benchmarks.catalogue import HERE
from benchmarks.cluster.systems import JoinedSystem
from benchmarks.server import BrokenRun

_START_SECONDS = 60.0


class Node:
    """One process of a system on a free port. Call `await_start` before it is used, and `stop` at the end."""

    def __init__(self, system: JoinedSystem, redis_url: str, room: str, log: Path) -> None:
        self.port = processes.free_port()
        environment = {**os.environ, **system.environment(redis_url, room)}
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                system.command(self.port), cwd=HERE.parent, env=environment, stdout=output, stderr=output
            )

    def await_start(self) -> None:
        """Return when it accepts connections.

        Raises:
            BrokenRun: if it ends, or takes too long.
        """
        if not processes.accepts(self.port, self._process, _START_SECONDS):
            raise BrokenRun("a server did not start")

    def pids(self) -> set[int]:
        """The process and its children."""
        return set(processes.family(self._process.pid))

    def cpu(self) -> float:
        """Processor time used so far, in seconds."""
        return processes.cpu(self._process.pid).total

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()
