"""`python -m benchmarks.host_routes`: what the middleware costs the host's own HTTP routes.

Sixteen connections request the same FastAPI route, with and without the middleware in turn. The load
comes from `wrk` if it is installed (apt-get install wrk), otherwise from a generator in Python.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import time
from typing import NamedTuple

from benchmarks import processes
from benchmarks.catalogue import BUILD, System
from benchmarks.server import Server

_CONNECTIONS = 16
_PATH = "/channels/1"


class Asked(NamedTuple):
    """How many requests were answered in how many seconds."""

    requests: int
    seconds: float


def _system(name: str) -> System:
    app = f"benchmarks.systems.host:{name}"
    options = (
        "--port",
        "{port}",
        "--log-level",
        "warning",
        "--no-access-log",
        "--loop",
        "uvloop",
        "--http",
        "httptools",
    )
    return System(name=name, dialect="json", command=(sys.executable, "-m", "uvicorn", app, *options))


def _wrk(port: int, seconds: float) -> Asked:
    command = ["wrk", "-t1", f"-c{_CONNECTIONS}", f"-d{seconds:.0f}s", f"http://127.0.0.1:{port}{_PATH}"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise SystemExit(output)
    found = re.search(r"(\d+) requests in ([\d.]+)s", output)
    assert found is not None, output
    return Asked(int(found[1]), float(found[2]))


def _by_hand(port: int, seconds: float) -> Asked:
    """Send one request at a time on each connection, and the next one when it is answered."""
    request = f"GET {_PATH} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
    selector = selectors.DefaultSelector()
    answered = 0
    with contextlib.ExitStack() as stack:
        for _ in range(_CONNECTIONS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(request)
            selector.register(client, selectors.EVENT_READ, client)
        begun = time.monotonic()
        while time.monotonic() - begun < seconds:
            for key, _ in selector.select(1):
                # An answer is small, and arrives in one piece.
                if not key.data.recv(4096).startswith(b"HTTP/1.1 200 "):
                    raise SystemExit("a request was not answered")
                answered += 1
                key.data.sendall(request)
        return Asked(answered, time.monotonic() - begun)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.host_routes", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    ask = _wrk if shutil.which("wrk") else _by_hand
    where = processes.processors()
    figures: dict[str, list[tuple[float, float]]] = {"alone": [], "wrapped": []}
    BUILD.mkdir(parents=True, exist_ok=True)
    for number in range(options.rounds):
        # The second run finds warmer caches, so the order alternates. The place of a process's memory changes its speed
        # more than the middleware does, so each run has a new process.
        for name in list(figures) if number % 2 else list(figures)[::-1]:
            with Server(_system(name), where.server, BUILD / "server.log") as server, processes.pinned(where.load):
                ask(server.port, 1)
                before = server.cpu()
                asked = ask(server.port, options.seconds)
                used = server.cpu().since(before).total
                figures[name].append((used / asked.requests * 1e6, asked.requests / asked.seconds))
    tool = "wrk" if ask is _wrk else "a generator in Python"
    print(f"{options.rounds} rounds of {options.seconds:g} s with {tool}; medians (lowest to highest)\n")
    print("| the route | processor time for a request, µs | requests/s |\n|---|---|---|")
    for name, label in (("alone", "without the middleware"), ("wrapped", "with it")):
        cells = [
            f"{statistics.median(values):.0f} ({min(values):.0f} to {max(values):.0f})"
            for values in zip(*figures[name], strict=True)
        ]
        print(f"| {label} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
