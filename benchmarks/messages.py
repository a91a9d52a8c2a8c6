"""`python -m benchmarks.messages`: what one message of 1 MB costs the server, by its content.

No message of a client should cost more than three times a plain text of its size, or block the event
loop for longer than 20 ms. Each kind is sent on each transport, before and after authentication.
Ratios are to the plain text on the same transport.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import json
import os
import secrets
import socket
import statistics
import struct
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

import jwt

from benchmarks import processes
from benchmarks.catalogue import BUILD, WEBSOCKET_PROTOCOL, System
from benchmarks.server import Server

_SIZE = 999_000
_SECRET = "a secret for measurements, long enough"
_TOKEN = jwt.encode({"sub": "ann"}, _SECRET, algorithm="HS256")
_REFUSED = "closed"


def _list(unit: str) -> str:
    return "[" + ",".join([unit] * ((_SIZE - 2) // (len(unit.encode()) + 1))) + "]"


def _text(unit: str) -> str:
    return '"' + unit * ((_SIZE - 2) // len(unit.encode())) + '"'


def _with_half(unit: str) -> str:
    return _text(unit)[:-1] + '\\ud83d"'


def _keys(name: Callable[[int], str], value: str) -> str:
    size = len(name(1 << 16)) + len(value) + 4
    return "{" + ",".join(f'"{name(number)}":{value}' for number in range(_SIZE // size)) + "}"


KINDS: Mapping[str, Callable[[], str]] = {
    "plain text": lambda: _text("a"),
    "text of another script": lambda: _text("好"),
    "emoji": lambda: _text("😀"),
    "one half of a pair in plain text": lambda: _with_half("a"),
    "halves of pairs": lambda: _text("\\ud800"),
    "lower halves": lambda: _text("\\udc00"),
    "pairs and a half": lambda: _with_half("\\ud83d\\ude00"),
    "escapes and a half": lambda: _with_half("\\u0041"),
    "short escapes and a half": lambda: _with_half("\\n"),
    "backslashes and a half": lambda: _with_half("\\\\"),
    "escapes": lambda: _text("\\u0041"),
    "escaped quotes": lambda: _text('\\"'),
    "brackets in a text": lambda: _text("[{"),
    "commas in a text": lambda: _text("1e5,"),
    "brackets and quotes in a text": lambda: _text('[\\"'),
    "empty lists": lambda: _list("[]"),
    "empty objects": lambda: _list("{}"),
    "lists in lists": lambda: _list("[[]]"),
    "lists 60 deep": lambda: _list("[" * 60 + "]" * 60),
    "objects with a key": lambda: _list('{"":0}'),
    "objects in objects": lambda: _list('{"":{}}'),
    "objects under distinct keys": lambda: _keys(lambda number: f"{number:x}", "{}"),
    "too deep": lambda: "[" * (_SIZE // 2) + "]" * (_SIZE // 2),
    "deep and not closed": lambda: "[" * _SIZE,
    "zeros": lambda: _list("0"),
    "nulls": lambda: _list("null"),
    "small numbers": lambda: _list("255"),
    "fractions": lambda: _list("0.1"),
    "smallest fractions": lambda: _list("5e-324"),
    "large powers": lambda: _list("1e300"),
    "one third": lambda: _list("2.2250738585072011e-308"),
    "numbers between two": lambda: _list("9007199254740993.0"),
    "powers of 23": lambda: _list("1e23"),
    "underflow": lambda: _list("1e-400"),
    "integers of 4000 digits": lambda: _list("1" * 4000),
    "one number": lambda: "1" * _SIZE,
    "one fraction": lambda: "0." + "1" * (_SIZE - 2),
    "empty texts": lambda: _list('""'),
    "short texts": lambda: _list('"a"'),
    "short texts of another script": lambda: _list('"é"'),
    "distinct keys": lambda: _keys(lambda number: f"{number:x}", "0"),
    "one key again and again": lambda: _keys(lambda number: "a", "0"),
    "white space": lambda: "[" + " " * (_SIZE - 2) + "]",
    "drawing": lambda: _list("[123.5,456.25]"),
    "records": lambda: _list('{"id":123456,"name":"Ann Smith","tags":["a","b"],"at":1732790000.5}'),
}


class Figure(NamedTuple):
    """What one message of a kind costs."""

    cpu: float
    """Milliseconds of the processor."""
    longest: float
    """The longest time the event loop was blocked, in milliseconds."""
    memory: float
    """The largest growth of the process's memory, in MB."""
    answer: str


class WebSocket:
    """A client over a bare socket. The mask is zero, so that masking costs the client nothing."""

    def __init__(self, port: int, path: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 60)
        self._buffer = b""
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while b"\r\n\r\n" not in self._buffer:
            self._more()
        self._buffer = self._buffer.partition(b"\r\n\r\n")[2]

    def send(self, message: str | bytes) -> None:
        """Send a text or a binary message."""
        first, data = (0x81, message.encode()) if isinstance(message, str) else (0x82, message)
        length = len(data)
        if length < 126:
            head = bytes((first, 0x80 | length))
        elif length < 65_536:
            head = struct.pack("!BBH", first, 0x80 | 126, length)
        else:
            head = struct.pack("!BBQ", first, 0x80 | 127, length)
        self._socket.sendall(head + b"\0\0\0\0" + data)

    def receive(self) -> str:
        """The next text.

        Raises:
            ConnectionError: the connection was closed.
        """
        while True:
            while len(self._buffer) < 2:
                self._more()
            opcode, length, start = self._buffer[0] & 15, self._buffer[1], 2
            if length >= 126:
                start = 4 if length == 126 else 10
                while len(self._buffer) < start:
                    self._more()
                length = int.from_bytes(self._buffer[2:start])
            while len(self._buffer) < start + length:
                self._more()
            payload, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
            if opcode == 8:
                raise ConnectionError(f"closed {int.from_bytes(payload[:2])}")
            if opcode == 1:
                return payload.decode()

    def until(self, prefix: str) -> str:
        """The next text with this prefix."""
        while not (text := self.receive()).startswith(prefix):
            if text == "2":
                self.send("3")
        return text

    def close(self) -> None:
        """End it."""
        self._socket.close()

    def _more(self) -> None:
        data = self._socket.recv(1 << 20)
        if not data:
            raise ConnectionError("closed 1006")
        self._buffer += data


class JSONClient:
    """A client of a JSON WebSocket."""

    path = "/json"
    before = '{"type":"take","data":%s}'

    def __init__(self, port: int, *, enter: bool) -> None:
        self._websocket = WebSocket(port, self.path + (f"?token={_TOKEN}" if enter else ""))
        if enter:
            self._websocket.until('{"type":"auth_success"')

    def send(self, event: str, payload: str) -> None:
        """Send a message and wait until it was handled."""
        self._websocket.send(f'{{"type":"{event}","data":{payload}}}')
        self._websocket.send('{"type":"ping"}')
        self._websocket.until('{"type":"pong"')

    def close(self) -> None:
        """Disconnect."""
        self._websocket.close()


class FlatClient(JSONClient):
    """The same, with the fields beside the type."""

    path = "/flat"

    def send(self, event: str, payload: str) -> None:
        """Send a message and wait until it was handled."""
        self._websocket.send(f'{{"type":"{event}","value":{payload}}}')
        self._websocket.send('{"type":"ping"}')
        self._websocket.until('{"type":"pong"')


class SocketIOPeer:
    """A Socket.IO client on a WebSocket."""

    def __init__(self, port: int, *, enter: bool) -> None:
        self._websocket = WebSocket(port, "/socket.io/?EIO=4&transport=websocket")
        self._websocket.until("0")
        if enter:
            self._websocket.send("40" + json.dumps({"token": _TOKEN}))
            self._websocket.until("40")

    def send(self, event: str, payload: str) -> None:
        """Send a message and wait until it was handled."""
        self._websocket.send(f'42["{event}",{payload}]')
        self._websocket.send('420["take",0]')
        self._websocket.until("430")

    def close(self) -> None:
        """Disconnect."""
        self._websocket.close()


class BinaryClient(SocketIOPeer):
    """The same with an attachment, whose placeholder must be found."""

    def send(self, event: str, payload: str) -> None:
        """Send a message and wait until it was refused, or was handled."""
        self._websocket.send(f'451-["{event}",{payload},{{"_placeholder":true,"num":0}}]')
        self._websocket.send(b"\x07")
        self._websocket.send('420["take",0]')
        self._websocket.until("430")


class PollingClient:
    """A Socket.IO client that polls."""

    def __init__(self, port: int, *, enter: bool) -> None:
        self._url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        opening = self._request()
        self._url += "&sid=" + json.loads(opening[1:])["sid"]
        if enter:
            self._request(b"40" + json.dumps({"token": _TOKEN}).encode())
            while not self._request().startswith("40"):
                pass

    def send(self, event: str, payload: str) -> None:
        """Send a message and wait until the POST was answered."""
        self._request(f'42["{event}",{payload}]'.encode())

    def _request(self, body: bytes | None = None) -> str:
        try:
            with urllib.request.urlopen(self._url, body, timeout=60) as response:
                answer: str = response.read().decode()
                return answer
        except urllib.error.HTTPError as error:
            raise ConnectionError(f"closed {error.code}") from None

    def close(self) -> None:
        """Do nothing: no connection is open."""


CLIENTS: Mapping[str, type[JSONClient] | type[SocketIOPeer] | type[PollingClient]] = {
    "json": JSONClient,
    "flat": FlatClient,
    "socketio": SocketIOPeer,
    "binary": BinaryClient,
    "polling": PollingClient,
}
SERVERS = {"WebSocketProtocol": WEBSOCKET_PROTOCOL, "uvicorn": "websockets-sansio", "wsproto": "wsproto"}


def _system(name: str) -> System:
    options = ("--port", "{port}", "--log-level", "error", "--no-access-log", "--loop", "asyncio", "--ws")
    command = (sys.executable, "-m", "uvicorn", "benchmarks.systems.reader:app", *options, SERVERS[name])
    return System(name=name, dialect="json", command=command)


def _figures(port: int) -> dict[str, float]:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/figures", timeout=60) as response:
        found: dict[str, float] = json.loads(response.read())
        return found


def _measure(port: int, client: str, event: str, payload: str, messages: int) -> Figure:
    """Send messages of one kind. If the first is refused, each comes from a new client."""
    costs, longest, memory, answer = [], 0.0, 0.0, "handled"
    kind = CLIENTS[client]
    enter = event != "before"
    sender = None
    for _ in range(messages):
        with contextlib.suppress(ConnectionError):
            sender = sender or kind(port, enter=enter)
        assert sender is not None
        before = _figures(port)
        try:
            sender.send("take" if event == "before" else event, payload)
        except (ConnectionError, TimeoutError) as error:
            answer = str(error) if "closed" in str(error) else _REFUSED
            sender.close()
            sender = None
        after = _figures(port)
        costs.append((after["cpu"] - before["cpu"]) * 1000)
        longest = max(longest, after["longest"] * 1000)
        memory = max(memory, (after["peak"] - before["now"]) / 1024)
    if sender is not None:
        sender.close()
    return Figure(statistics.median(costs), longest, memory, answer)


@contextlib.contextmanager
def _serving(server: str) -> Iterator[int]:
    BUILD.mkdir(parents=True, exist_ok=True)
    with Server(_system(server), processes.processors().server, BUILD / "messages.log") as running:
        yield running.port


def main() -> None:
    """Measure, and print a table for each transport."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.messages", description=__doc__.partition("\n")[0])
    parser.add_argument("--servers", nargs="+", choices=SERVERS, default=["WebSocketProtocol", "uvicorn"])
    parser.add_argument("--clients", nargs="+", choices=CLIENTS, default=list(CLIENTS))
    parser.add_argument("--events", nargs="+", choices=("before", "take", "echo"), default=["before", "take"])
    parser.add_argument("--kinds", nargs="+", metavar="TEXT", help="only kinds with one of these in their names")
    parser.add_argument("--messages", type=int, default=5)
    options = parser.parse_args()
    os.environ.setdefault("PYTHONHASHSEED", "0")
    kinds = [kind for kind in KINDS if not options.kinds or any(text in kind for text in options.kinds)]
    for server in options.servers:
        with _serving(server) as port:
            for client in options.clients:
                for event in options.events:
                    print(f"\n{server}, {client}, {event}\n")
                    print("| kind | ms of the processor | times plain | loop held, ms | MB | answer |")
                    print("|---|---|---|---|---|---|")
                    plain = _measure(port, client, event, KINDS["plain text"](), options.messages)
                    for kind in kinds:
                        figure = _measure(port, client, event, KINDS[kind](), options.messages)
                        ratio = figure.cpu / plain.cpu
                        print(
                            f"| {kind} | {figure.cpu:.1f} | {ratio:.1f} | {figure.longest:.0f} | {figure.memory:.0f} "
                            f"| {figure.answer} |",
                            flush=True,
                        )


if __name__ == "__main__":
    main()
