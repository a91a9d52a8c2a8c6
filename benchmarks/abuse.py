"""`python -m benchmarks.abuse`: how one hostile transport slows down the other clients.

For each server and attack: the round trip of another client's `echo` without and with the attack in
turn, how long the attacker's transport lived, and the processor time of the server.
"""

from __future__ import annotations

import argparse
import itertools
import multiprocessing
import socket
import statistics
import sys
import time
from collections.abc import Iterator
from multiprocessing.sharedctypes import Synchronized
from typing import NamedTuple

from asgi_realtime import create_token
from benchmarks import processes
from benchmarks.catalogue import BUILD, WEBSOCKET_PROTOCOL, System
from benchmarks.server import Server
from benchmarks.systems.own import settings

_PIECE = 65_536
"""Bytes that an attacker writes at a time."""
_PAUSE = 0.01
"""Seconds between two round trips of the other client."""
_PATIENCE = 30.0
"""Seconds after which the other client stops waiting."""
_POLICY_VIOLATION = (1008).to_bytes(2)
_KEY = b"\0\0\0\0"
_SOCKETIO = "/socket.io/?EIO=4&transport=websocket"
_POLLING = "/socket.io/?EIO=4&transport=polling"
_JSON = "/json"
_TOKEN = create_token("ann", settings, expires_in=86_400)
_FORGED = _TOKEN[:-4] + ("AAAA" if _TOKEN[-4:] != "AAAA" else "BBBB")
_ENTER = {_SOCKETIO: f'40{{"token":"{_TOKEN}"}}', _JSON: f'{{"type":"auth","data":{{"token":"{_TOKEN}"}}}}'}
_ECHO = {_SOCKETIO: '421["echo",1]', _JSON: '{"type":"echo","data":1}'}
_SERVERS = {
    "uvicorn": ("-m", "uvicorn", "--ws", "websockets-sansio", "--port", "{port}", "--log-level", "critical"),
    "wsproto": ("-m", "uvicorn", "--ws", "wsproto", "--port", "{port}", "--log-level", "critical"),
    "WebSocketProtocol": ("-m", "uvicorn", "--ws", WEBSOCKET_PROTOCOL, "--port", "{port}", "--log-level", "critical"),
    "hypercorn": ("-m", "hypercorn", "--bind", "127.0.0.1:{port}", "--log-level", "critical"),
}


def _frame(opcode: int, payload: bytes = b"", *, final: bool = True) -> bytes:
    """A client's frame, masked with zeros."""
    length = len(payload)
    size = bytes((0x80 | length,)) if length < 126 else b"\xfe" + length.to_bytes(2)
    return bytes((final << 7 | opcode,)) + size + _KEY + payload


def _text(message: str) -> bytes:
    return _frame(1, message.encode())


class Attack(NamedTuple):
    """The bytes that are sent on one transport, repeatedly."""

    path: str
    unit: bytes
    first: bytes = b""
    enters: bool = True


_PING, _PONG = _frame(9), _frame(10)
_OPEN_TEXT = _frame(1, b"", final=False)
ATTACKS = {
    "CONNECT to no namespace": Attack(_SOCKETIO, _text("40/nowhere,")),
    "CONNECT with a bad token": Attack(_SOCKETIO, _text(f'40{{"token":"{_FORGED}"}}'), enters=False),
    "leave and come back": Attack(_SOCKETIO, _text("41") + _text(_ENTER[_SOCKETIO])),
    "events over the rate": Attack(_SOCKETIO, _text('42["echo",1]')),
    "events over the rate, acked": Attack(_SOCKETIO, _text('427["echo",1]')),
    "unknown events": Attack(_SOCKETIO, _text('42["unheard of"]')),
    "bad tokens to refresh": Attack(_SOCKETIO, _text(f'42["auth/refresh",{{"token":"{_FORGED}"}}]')),
    "events of a closed namespace": Attack(_SOCKETIO, _text('42/nowhere,["x"]'), _text("40/nowhere,")),
    "acks": Attack(_SOCKETIO, _text("431[]")),
    "Engine.IO pongs": Attack(_SOCKETIO, _text("3")),
    "Engine.IO noops": Attack(_SOCKETIO, _text("6")),
    "WebSocket pings": Attack(_SOCKETIO, _PING),
    "WebSocket pongs": Attack(_SOCKETIO, _PONG),
    "empty fragments": Attack(_SOCKETIO, _frame(0, b"", final=False), _OPEN_TEXT),
    "fragments of one byte": Attack(_SOCKETIO, _frame(0, b"x", final=False), _OPEN_TEXT),
    "JSON: before authentication": Attack(_JSON, _text('{"type":"ping"}'), enters=False),
    "JSON: pings": Attack(_JSON, _text('{"type":"ping"}')),
    "JSON: events over the rate": Attack(_JSON, _text('{"type":"echo","data":1}')),
    "JSON: bad tokens to refresh": Attack(_JSON, _text(f'{{"type":"auth","data":{{"token":"{_FORGED}"}}}}')),
    "JSON: WebSocket pings": Attack(_JSON, _PING),
    "JSON: fragments of one byte": Attack(_JSON, _frame(0, b"x", final=False), _OPEN_TEXT),
    "polling: noops in POSTs": Attack(_POLLING, b"\x1e".join([b"6"] * 30_000)),
    "polling: refused CONNECTs in POSTs": Attack(_POLLING, b"\x1e".join([b"40/nowhere,"] * 30_000)),
    "polling: POSTs of one noop": Attack(_POLLING, b"6"),
    "polling: handshakes": Attack(_POLLING, b"", enters=False),
}


class _Closed(Exception):
    """The server has ended the transport."""


class _WebSocket:
    """A minimal WebSocket client."""

    def __init__(self, port: int, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(30)
        self.socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
        )
        self._buffer = b""
        while b"\r\n\r\n" not in self._buffer:
            self._read()
        self._buffer = self._buffer.partition(b"\r\n\r\n")[2]

    def _read(self) -> None:
        data = self.socket.recv(_PIECE)
        if not data:
            raise _Closed
        self._buffer += data

    def next(self) -> bytes:
        """The payload of the next message. Answers pings."""
        while True:
            while len(self._buffer) < 4 or len(self._buffer) < self._size():
                self._read()
            start = 4 if self._buffer[1] == 126 else 2
            opcode, payload = self._buffer[0] & 15, self._buffer[start : self._size()]
            self._buffer = self._buffer[self._size() :]
            if opcode == 8:
                raise _Closed
            if opcode == 9:
                self.socket.sendall(_frame(10, payload))
            elif payload == b"2":
                self.socket.sendall(_text("3"))
            else:
                return payload

    def _size(self) -> int:
        second = self._buffer[1]
        return 4 + int.from_bytes(self._buffer[2:4]) if second == 126 else 2 + second

    def enter(self, path: str) -> None:
        """Authenticate, and read until the answer."""
        self.socket.sendall(_text(_ENTER[path]))
        while b'"sid"' not in (answer := self.next()) and b"auth_success" not in answer or answer[:1] == b"0":
            pass


def _flood(port: int, attack: Attack, stop: Synchronized[int], lived: Synchronized[float], again: bool) -> None:
    """Send an attack until it is stopped. Records how long the first transport lived."""
    while not stop.value:
        begun = time.monotonic()
        try:
            (_flood_polling if attack.path == _POLLING else _flood_websocket)(port, attack, stop)
        except (OSError, _Closed):
            pass
        if not lived.value and not stop.value:
            lived.value = time.monotonic() - begun
        if not again:
            return


def _flood_websocket(port: int, attack: Attack, stop: Synchronized[int]) -> None:
    client = _WebSocket(port, attack.path)
    if attack.enters:
        client.enter(attack.path)
    client.socket.sendall(attack.first)
    client.socket.setblocking(False)
    waiting = memoryview(piece := attack.unit * (_PIECE // len(attack.unit)))
    while not stop.value:
        try:
            waiting = waiting[client.socket.send(waiting) :] or memoryview(piece)
        except BlockingIOError:
            time.sleep(0.0005)
        try:
            if not (received := client.socket.recv(_PIECE)) or _POLICY_VIOLATION in received:
                raise _Closed
        except BlockingIOError:
            pass


def _flood_polling(port: int, attack: Attack, stop: Synchronized[int]) -> None:
    with socket.create_connection(("127.0.0.1", port)) as client:
        client.settimeout(30)

        def ask(method: str, path: str, body: bytes = b"") -> bytes:
            head = f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n\r\n"
            client.sendall(head.encode() + body)
            answer = b""
            while (end := answer.find(b"\r\n\r\n")) < 0 or len(answer) < end + 4 + _length(answer[:end]):
                data = client.recv(_PIECE)
                if not data:
                    raise _Closed
                answer += data
            if b" 200 " not in answer[:16]:
                raise _Closed
            return answer

        while not stop.value and not attack.unit:
            ask("GET", _POLLING)
        path = _POLLING + "&sid=" + ask("GET", _POLLING).partition(b'"sid":"')[2].partition(b'"')[0].decode()
        while not stop.value:
            ask("POST", path, attack.unit)


def _length(head: bytes) -> int:
    return int(head.lower().partition(b"content-length: ")[2].partition(b"\r")[0])


def _round_trips(port: int, path: str, seconds: float) -> list[float]:
    """How long the other client waits for each echo, in ms."""
    client = _WebSocket(port, path)
    client.socket.settimeout(_PATIENCE)
    try:
        client.enter(path)
    except TimeoutError:
        return [_PATIENCE * 1000]
    found: list[float] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        begun = time.monotonic()
        client.socket.sendall(_text(_ECHO[path]))
        try:
            while not client.next().endswith((b"[1]", b'"data":1}')):
                pass
        except TimeoutError:
            deadline = 0.0  # the server would not answer it any more
        found.append((time.monotonic() - begun) * 1000)
        time.sleep(_PAUSE)
    client.socket.close()
    return found


def _cells(values: list[float]) -> str:
    values = sorted(values)
    return f"{statistics.median(values):.1f} / {values[int(len(values) * 0.99)]:.1f} / {values[-1]:.0f}"


def _measure(name: str, attack: Attack, seconds: float, again: bool) -> str:
    command = (sys.executable, *_SERVERS[name], "benchmarks.systems.abuse:app")
    where = processes.processors()
    neighbour = _JSON if attack.path == _JSON else _SOCKETIO
    with Server(System(name=name, dialect="json", command=command), where.server, BUILD / "server.log") as server:
        with processes.pinned(where.load):
            alone = _round_trips(server.port, neighbour, seconds)
            stop, lived = multiprocessing.Value("i", 0), multiprocessing.Value("d", 0.0)
            before, begun = server.cpu(), time.monotonic()
            attacker = multiprocessing.Process(target=_flood, args=(server.port, attack, stop, lived, again))
            attacker.start()
            beside = _round_trips(server.port, neighbour, seconds)
            used = server.cpu().since(before).total / (time.monotonic() - begun)
            stop.value = 1
            attacker.join(5)
            attacker.kill()
    life = f"{lived.value:.2f} s" if lived.value else "all the time"
    return f"| {_cells(alone)} | {_cells(beside)} | {used:.0%} | {life} |"


def _chosen(names: Iterator[str], only: str | None) -> list[str]:
    return [name for name in names if only is None or only in name]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse", description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--server", help="only servers with this in their name")
    parser.add_argument("--attack", help="only attacks with this in their name")
    parser.add_argument("--again", action="store_true", help="an attacker that is closed opens its next transport")
    options = parser.parse_args()
    BUILD.mkdir(parents=True, exist_ok=True)
    print("Round trips of a neighbour in ms, median / 99th percentile / longest\n")
    print("| server | attack | without | beside it | a processor's time | the transport lived |")
    print("|---|---|---|---|---|---|")
    for server, attack in itertools.product(
        _chosen(iter(_SERVERS), options.server), _chosen(iter(ATTACKS), options.attack)
    ):
        print(f"| {server} | {attack} {_measure(server, ATTACKS[attack], options.seconds, options.again)}", flush=True)


if __name__ == "__main__":
    main()
