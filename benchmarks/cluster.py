"""`python -m benchmarks.cluster`: what a broadcast costs when it goes through Redis to another process.

For each system: one Redis, a publishing process without clients, a receiving process with one client, and a third
process without clients. The client checks that it receives every message once and in order. Figures are microseconds
of CPU for each publication of 200 bytes, and milliseconds from the request to the client.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import random
import re
import secrets
import socket
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import jwt

from benchmarks import processes
from benchmarks.catalogue import HERE, NODE, OWN_JSON, OWN_SOCKETIO, PYTHON_SOCKETIO, SYSTEMS, System
from benchmarks.server import BrokenRun
from benchmarks.systems.own import SECRET

_SIZE = 200
_TOGETHER = 16
_WAIT_SECONDS = 30.0
_NUMBER = re.compile(rb'"number":\s?(\d+)')

CHANNELS = "Django Channels, in-memory layer"
NAMES = {
    "asgi_realtime, Socket.IO": (OWN_SOCKETIO[1], ""),
    "asgi_realtime, JSON": (OWN_JSON[1], ""),
    "python-socketio, Redis manager": (PYTHON_SOCKETIO, ""),
    "Node socket.io, Redis adapter": (NODE, "pubsub"),
    "Node socket.io, streams adapter": (NODE, "streams"),
    "Django Channels, channels_redis": (CHANNELS, ""),
}
"""The systems, each with its name in the catalogue and the adapter of Node's server."""
REQUESTS_ALL_AT_ONCE = {NODE}
"""Systems that begin all broadcasts of a request at once. The others begin `_TOGETHER` at a time."""


class Process:
    """One server process of a system on a free port."""

    def __init__(self, system: System, environment: dict[str, str], log: Path) -> None:
        self.port = _free_port()
        command = [part.format(port=self.port) for part in system.command]
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=HERE.parent, env={**os.environ, **environment}, stdout=output, stderr=output
            )
        _await_port(self.port, self._process)

    def cpu(self) -> processes.CPU:
        """Processor time used so far."""
        return processes.cpu(self._process.pid)

    def stop(self) -> None:
        """End it."""
        self._process.kill()
        self._process.wait()


class Client:
    """One WebSocket client that checks the numbers of the messages, in a thread."""

    def __init__(self, port: int, dialect: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.settimeout(_WAIT_SECONDS)
        token = jwt.encode({"sub": "ann"}, SECRET, algorithm="HS256")
        path = "/socket.io/?EIO=4&transport=websocket" if dialect == "socketio" else "/room"
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        self._read_until(b"\r\n\r\n")
        if dialect == "socketio":
            self._send("40" + json.dumps({"token": token}))
            self._read_until(b"40{")
        else:
            self._send(json.dumps({"type": "auth", "data": {"token": token}}))
            self._read_until(b"auth_success")
        self.arrived: dict[int, float] = {}
        self.wrong: str | None = None
        self._last = -1
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _send(self, text: str) -> None:
        data = text.encode()
        size = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        self._socket.sendall(b"\x81" + size + bytes(4) + data)

    def _read_until(self, text: bytes) -> None:
        seen = b""
        while text not in seen:
            more = self._socket.recv(65_536)
            if not more:
                raise BrokenRun("the server closed the connection")
            seen += more

    def _read(self) -> None:
        rest = b""
        with contextlib.suppress(OSError):
            while more := self._socket.recv(1 << 20):
                now = time.perf_counter()
                data = rest + more
                end = 0
                for found in _NUMBER.finditer(data):
                    if found.end() == len(data):
                        break  # the number may continue in the next read
                    end = found.end()
                    number = int(found[1])
                    if number != self._last + 1:
                        self.wrong = f"message {number} came after {self._last}"
                    self._last = number
                    self.arrived[number] = now
                rest = data[max(end, len(data) - 100) :]

    def wait(self, number: int) -> None:
        """Wait until a message has arrived."""
        deadline = time.monotonic() + _WAIT_SECONDS
        while number not in self.arrived:
            if time.monotonic() > deadline or self.wrong:
                raise BrokenRun(self.wrong or f"message {number} did not arrive; the last was {self._last}")
            time.sleep(0.002)

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


@contextlib.contextmanager
def redis(folder: Path) -> Iterator[tuple[str, int]]:
    """A Redis of its own. Yields its URL and its process id."""
    port = _free_port()
    command = ["redis-server", "--port", str(port), "--save", "", "--dir", str(folder), "--bind", "127.0.0.1"]
    with (folder / "redis.log").open("ab") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _await_port(port, process)
        yield f"redis://127.0.0.1:{port}/0", process.pid
    finally:
        process.kill()
        process.wait()


def measure(name: str, publications: int, paced: int, folder: Path) -> dict[str, float]:
    """The figures of one system, in one round."""
    catalogued, adapter = NAMES[name]
    system = next(each for each in SYSTEMS if each.name == catalogued)
    with redis(folder) as (url, redis_pid), contextlib.ExitStack() as stack:
        environment = {"REDIS_URL": url, "ADAPTER": adapter, "NODE_ENV": "production"}
        log = folder / "servers.log"
        publisher, receiver, idle = (Process(system, environment, log) for _ in range(3))
        for process in (publisher, receiver, idle):
            stack.callback(process.stop)
        client = Client(receiver.port, system.dialect)
        stack.callback(client.close)
        time.sleep(1.0)  # subscriptions of the peers are not confirmed to clients
        together = "" if catalogued in REQUESTS_ALL_AT_ONCE else f"/{_TOGETHER}"
        control = http.client.HTTPConnection("127.0.0.1", publisher.port, timeout=_WAIT_SECONDS)
        first = 0

        def broadcast(count: int, together: str) -> None:
            nonlocal first
            control.request("POST", f"/broadcast/{first}/{count}/{_SIZE}{together}")
            if control.getresponse().read() or control.sock is None:
                raise BrokenRun("the publisher did not accept")
            first += count

        broadcast(200, together)
        client.wait(first - 1)
        servers = {"publisher": publisher, "receiver": receiver, "without members": idle}
        begun, begun_redis = {name: each.cpu() for name, each in servers.items()}, processes.cpu(redis_pid)
        broadcast(publications, together)
        client.wait(first - 1)
        figures = {name: each.cpu().since(begun[name]).total / publications * 1e6 for name, each in servers.items()}
        figures["Redis"] = processes.cpu(redis_pid).since(begun_redis).total / publications * 1e6
        latencies = []
        for _ in range(paced):
            sent = time.perf_counter()
            broadcast(1, "")
            latencies.append((first - 1, sent))
            time.sleep(max(0.0, sent + 0.001 - time.perf_counter()))
        client.wait(first - 1)
        delays = sorted((client.arrived[number] - sent) * 1e3 for number, sent in latencies)
        return {**figures, "p50 ms": statistics.median(delays), "p99 ms": delays[int(len(delays) * 0.99)]}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--publications", type=int, default=5_000)
    parser.add_argument("--paced", type=int, default=1_000, help="publications for the latency, at most 1000 a second")
    parser.add_argument("--only", nargs="*", choices=list(NAMES), default=list(NAMES))
    options = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in options.only}
    names = list(options.only)
    for _ in range(options.rounds):
        random.shuffle(names)
        for name in names:
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                try:
                    found[name].append(measure(name, options.publications, options.paced, Path(folder)))
                except BrokenRun as broken:
                    print(f"{name}: {broken}", file=sys.stderr)
    print(_table(found))


def _table(found: Mapping[str, Sequence[dict[str, float]]]) -> str:
    columns = ("publisher", "receiver", "without members", "Redis", "p50 ms", "p99 ms")
    own = next((rounds for rounds in found.values() if rounds), [])
    lines = [f"| system | {' | '.join(columns)} | publisher and receiver, ratio |", "|---" * (len(columns) + 2) + "|"]
    base = statistics.median(each["publisher"] + each["receiver"] for each in own) if own else 1.0
    for name, rounds in found.items():
        if rounds:
            values = [f"{statistics.median(each[column] for each in rounds):.2f}" for column in columns]
            both = statistics.median(each["publisher"] + each["receiver"] for each in rounds)
            lines.append(f"| {name} | {' | '.join(values)} | {both / base:.1f} |")
    return "\n".join(lines)


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _WAIT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise BrokenRun("a server did not start")


if __name__ == "__main__":
    main()
