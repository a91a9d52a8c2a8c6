"""A Redis for one measurement, and what can be counted at it."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
from collections.abc import Iterator, Set
from pathlib import Path

import redis

from benchmarks import processes
from benchmarks.server import BrokenRun

_START_SECONDS = 30.0
_OWN_COMMANDS = {"cmdstat_info", "cmdstat_client|list"}
_RECEIVED = re.compile(r"bytes_received:(\d+)")
_PID = re.compile(r"pid=(\d+)")


class RedisServer:
    """A running Redis."""

    def __init__(self, port: int, pid: int) -> None:
        self.url = f"redis://127.0.0.1:{port}/0"
        self._port = port
        self._pid = pid
        self._client = redis.Redis(port=port)

    def cpu(self) -> float:
        """Processor time used so far, in seconds."""
        return processes.cpu(self._pid).total

    def commands(self) -> int:
        """Commands that clients have sent, and those of their scripts."""
        statistics = self._client.info("commandstats")
        return sum(each["calls"] for name, each in statistics.items() if name not in _OWN_COMMANDS)

    def bytes_received(self, pids: Set[int]) -> int | None:
        """Bytes that Redis has sent to these processes on the connections that are open. None without `ss`."""
        if shutil.which("ss") is None:
            return None
        command = ["ss", "-tinHpO", "state", "established", "dport", "=", f":{self._port}"]
        lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
        found = 0
        for line in lines:
            pid, received = _PID.search(line), _RECEIVED.search(line)
            if pid and received and int(pid[1]) in pids:
                found += int(received[1])
        return found


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[RedisServer]:
    """Run a redis-server that keeps nothing on disk."""
    port = processes.free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        if not processes.accepts(port, process, _START_SECONDS):
            raise BrokenRun("Redis did not start")
        yield RedisServer(port, process.pid)
    finally:
        process.kill()
        process.wait()
