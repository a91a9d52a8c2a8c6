"""A WebSocket client that checks the numbers of the messages it receives."""

from __future__ import annotations

import base64
import json
import re
import secrets
import socket
import struct
import threading
import time

import jwt

from benchmarks.catalogue import Dialect
from benchmarks.server import BrokenRun
from benchmarks.systems.own import SECRET

WAIT_SECONDS = 60.0
_NUMBER = re.compile(rb'"number":\s?(\d+)')
_TEXT, _PING, _PONG = 1, 9, 10
_PATHS: dict[Dialect, str] = {
    "json": "/room",
    "socketio": "/socket.io/?EIO=4&transport=websocket",
    "centrifugo": "/connection/websocket",
}
_HEARTBEATS: dict[Dialect, dict[bytes, bytes]] = {"json": {}, "socketio": {b"2": b"3"}, "centrifugo": {b"{}": b"{}"}}
"""What the server sends to see whether the client is there, and the answer."""


class Client:
    """A client that is in a room when its constructor returns. A thread reads what it receives.

    The first message may have any number. If the system keeps the order, each later one must have the next number.
    """

    def __init__(self, port: int, dialect: Dialect, room: str, ordered: bool) -> None:
        self.arrived: dict[int, float] = {}
        """When each message arrived, by `time.perf_counter`."""
        self._ordered = ordered
        self._first: int | None = None
        self._broken: str | None = None
        self._last: int | None = None
        self._changed = threading.Condition()
        self._buffer = bytearray()
        self._read_at = 0.0
        self._heartbeats = _HEARTBEATS[dialect]
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.settimeout(WAIT_SECONDS)
        self._open(_PATHS[dialect])
        self._enter(dialect, room)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _open(self, path: str) -> None:
        key = base64.b64encode(secrets.token_bytes(16)).decode()
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        while (end := self._buffer.find(b"\r\n\r\n")) < 0:
            self._receive()
        del self._buffer[: end + 4]

    def _enter(self, dialect: Dialect, room: str) -> None:
        token = jwt.encode({"sub": "ann"}, SECRET, algorithm="HS256")
        if dialect == "socketio":
            self._send(b"40" + json.dumps({"token": token}).encode())
            self._await(b"40{")
        elif dialect == "json":
            self._send(json.dumps({"type": "auth", "data": {"token": token}}).encode())
            self._await(b"auth_success")
        else:
            self._send(b'{"id":1,"connect":{}}')
            self._await(b'"id":1')
            self._send(json.dumps({"id": 2, "subscribe": {"channel": room}}).encode())
            self._await(b'"id":2')

    def _await(self, text: bytes) -> None:
        while text not in self._frame():
            pass

    def _read(self) -> None:
        try:
            while True:
                frame = self._frame()
                with self._changed:
                    self._note(frame)
                    self._changed.notify()
        except OSError as error:
            with self._changed:
                self._broken = self._broken or f"the connection ended: {error}"
                self._changed.notify()

    def _note(self, frame: bytes) -> None:
        for found in _NUMBER.finditer(frame):
            number = int(found[1])
            if self._first is None:
                self._first = number
            elif number in self.arrived or (self._ordered and number - 1 != self._last):
                self._broken = f"message {number} came after {self._last}"
            self._last = number
            self.arrived[number] = self._read_at

    def _frame(self) -> bytes:
        """The payload of the next text frame. Heartbeats are answered."""
        while True:
            header = self._bytes(2)
            length = header[1]
            if length > 125:
                length = int.from_bytes(self._bytes(2 if length == 126 else 8))
            payload, opcode = self._bytes(length), header[0] & 15
            if opcode == _PING:
                self._send(payload, _PONG)
            elif answer := self._heartbeats.get(payload):
                self._send(answer)
            elif opcode == _TEXT:
                return payload

    def _bytes(self, count: int) -> bytes:
        while len(self._buffer) < count:
            self._receive()
        found = bytes(self._buffer[:count])
        del self._buffer[:count]
        return found

    def _receive(self) -> None:
        more = self._socket.recv(1 << 16)
        self._read_at = time.perf_counter()
        if not more:
            self._broken = "the server closed the connection"
            raise ConnectionError(self._broken)
        self._buffer += more

    def _send(self, data: bytes, opcode: int = _TEXT) -> None:
        size = struct.pack("!B", 0x80 | len(data)) if len(data) < 126 else struct.pack("!BH", 0xFE, len(data))
        self._socket.sendall(bytes([0x80 | opcode]) + size + bytes(4) + data)  # the mask is four zeros

    def has(self, number: int, seconds: float) -> bool:
        """Whether a message, and every one before it, arrives within this time.

        Raises:
            BrokenRun: if messages were lost or are out of order, or the connection ended.
        """

        def arrived() -> bool:
            return self._first is not None and len(self.arrived) > number - self._first

        with self._changed:
            self._changed.wait_for(lambda: arrived() or self._broken is not None, seconds)
            if self._broken is not None:
                raise BrokenRun(self._broken)
            return arrived()

    def wait(self, number: int) -> None:
        """Return when a message, and every one before it, has arrived.

        Raises:
            BrokenRun: if it does not, or others were lost or are out of order.
        """
        if not self.has(number, WAIT_SECONDS):
            raise BrokenRun(f"{number} messages were published; the last that arrived was {self._last}")

    def close(self) -> None:
        """End the connection."""
        self._socket.close()
