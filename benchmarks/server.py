"""A server process under test: started, asked for broadcasts, its CPU time and memory read from the system."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

_TICKS = os.sysconf("SC_CLK_TCK")
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") / 1024


class Server:
    """uvicorn running one of `benchmarks.systems`, pinned to a processor of its own where there is more than one."""

    def __init__(self, system: str, processor: int | None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        command = [sys.executable, "-m", "uvicorn", f"benchmarks.systems.{system}:app", "--port", str(self.port)]
        self._process = subprocess.Popen([*command, "--log-level", "warning", "--loop", "asyncio"])
        if processor is not None:
            os.sched_setaffinity(self._process.pid, {processor})

    def __enter__(self) -> Server:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
            except OSError:
                time.sleep(0.05)
            else:
                self._http = http.client.HTTPConnection("127.0.0.1", self.port)
                return self
        raise RuntimeError("the server did not start")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._http.close()
        self._process.kill()
        self._process.wait()

    def broadcast(self, first: int, count: int) -> None:
        """Have `count` messages broadcast; the answer is left in the socket until `finish`."""
        self._http.request("POST", f"/broadcast/{first}/{count}")

    def finish(self) -> None:
        """Take the answer of the broadcast asked for last."""
        response = self._http.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"the server answered {response.status}")

    def cpu(self) -> tuple[float, float]:
        """Seconds of processor time used so far: in user mode, and in all."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        user, system = int(fields[11]) / _TICKS, int(fields[12]) / _TICKS
        return user, user + system

    def resident(self) -> float:
        """Resident memory in KB."""
        return int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]) * _PAGE_KB
