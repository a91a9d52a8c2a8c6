"""`python -m benchmarks.console`: what an open console costs, and how fast it shows an app with many connections.

Three processes with a Redis, and clients that do nothing. The processor time of each process is read without a page,
with a page that shows the processes, and with one whose lists are turned. Chromium measures how long each view takes
until its first rows are painted. It needs redis-server, Chromium, and `npm ci --prefix tests/wire`.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import processes
from benchmarks.catalogue import HERE
from benchmarks.cluster.redis_server import redis_server
from benchmarks.console.app import SECRET
from benchmarks.server import BrokenRun
from benchmarks.tables import table

PROCESSES = 3
_PAGE = HERE / "console" / "page.mjs"
_AT_ONCE = 50


@contextlib.contextmanager
def app_processes(redis_url: str, log: Path) -> Iterator[list[tuple[int, int]]]:
    """Run the app. Yields the port and the process id of each process."""
    environment = {**os.environ, "MEW_REDIS_URL": redis_url, "MEW_DEV": "true"}
    started = []
    try:
        with log.open("ab") as output:
            for _ in range(PROCESSES):
                port = processes.free_port()
                command = [sys.executable, "-m", "benchmarks.console.app", str(port)]
                process = subprocess.Popen(command, cwd=HERE.parent, env=environment, stdout=output, stderr=output)
                started.append((port, process))
        for port, process in started:
            if not processes.accepts(port, process, 60.0):
                raise BrokenRun("a process did not start")
        yield [(port, process.pid) for port, process in started]
    finally:
        for _, process in started:
            process.kill()
            process.wait()


async def connect(ports: list[int], count: int) -> list[asyncio.StreamWriter]:
    """Open WebSockets, spread over the processes. They read the answer to the handshake, and nothing else."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def open_one(number: int) -> asyncio.StreamWriter:
        async with turns:
            reader, writer = await asyncio.open_connection("127.0.0.1", ports[number % len(ports)])
            writer.write(
                f"GET /clients?user=user-{number:06} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
                "Connection: Upgrade\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                "Sec-WebSocket-Version: 13\r\n\r\n".encode()
            )
            await reader.readuntil(b"auth_success")
            return writer

    return await asyncio.gather(*[open_one(number) for number in range(count)])


def _shares(pids: list[int], seconds: float) -> list[float]:
    """The share of a processor that each process uses in this time."""
    before = [processes.cpu(pid).total for pid in pids]
    begun = time.monotonic()
    time.sleep(seconds)
    passed = time.monotonic() - begun
    return [(processes.cpu(pid).total - was) / passed for pid, was in zip(pids, before, strict=True)]


class Browser:
    """A page of the console, driven by `page.mjs`."""

    def __init__(self, url: str) -> None:
        command = ["node", str(_PAGE), url, SECRET]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(self, command: str) -> dict[str, float]:
        """Send a command, and return its answer."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(command + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise BrokenRun("the browser has ended")
        answer: dict[str, float] = json.loads(line)
        return answer

    def close(self) -> None:
        """End the browser."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


def measure(count: int, seconds: float) -> str:
    """Measure, and return the tables."""
    processes.raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="console-") as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        server = stack.enter_context(redis_server(folder))
        running = stack.enter_context(app_processes(server.url, folder / "log"))
        ports, pids = [port for port, _ in running], [pid for _, pid in running]
        loop = asyncio.new_event_loop()
        stack.callback(loop.close)
        sockets = loop.run_until_complete(connect(ports, count))
        time.sleep(2.0)  # the processes are busy with what came last
        shares = {"no page": _shares(pids, seconds)}
        browser = Browser(f"http://127.0.0.1:{ports[0]}")
        stack.callback(browser.close)
        paints = browser.ask("open")
        shares["the processes are shown"] = _shares(pids, seconds)
        browser.ask("turn")
        shares["a list is turned each second"] = _shares(pids, seconds)
        browser.ask("rest")
        assert len(sockets) == count
        rows = [[name, *[f"{share:.2%}" for share in found]] for name, found in shares.items()]
        times = [[view, f"{milliseconds:.0f}"] for view, milliseconds in paints.items()]
        head = ["", "process that serves the page", *["another process"] * (PROCESSES - 1)]
        return f"{table(head, rows)}\n\n{table(['view', 'first rows, ms'], times)}"


def main() -> None:
    """Measure, and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console", description=__doc__.partition("\n")[0])
    parser.add_argument("--connections", type=int, default=5_000, help="clients of all processes together")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each state is measured")
    options = parser.parse_args()
    print(measure(options.connections, options.seconds))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
