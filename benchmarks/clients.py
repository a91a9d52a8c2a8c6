"""Many Socket.IO clients over raw sockets in one thread: as cheap as Python gets, and checking every message."""

from __future__ import annotations

import os
import re
import selectors
import socket
import struct
import time

_NUMBER = re.compile(rb'"number":\s?(\d+)')


class BrokenDelivery(Exception):
    """A message was lost, doubled, or out of order."""


class Client:
    """One WebSocket that has connected to the default namespace."""

    def __init__(self, port: int, user: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()
        self.next = 0
        self.socket.sendall(
            b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n"
        )
        while b"\r\n\r\n" not in self._buffer:
            self._buffer += self._more()
        del self._buffer[: self._buffer.index(b"\r\n\r\n") + 4]
        self._expect(b"0{")
        self.send(b'40{"user":"%s"}' % user.encode())
        self._expect(b"40")
        self.socket.setblocking(False)

    def send(self, text: bytes) -> None:
        """Send a text message of at most 125 bytes, masked as clients must."""
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(text))
        self.socket.sendall(struct.pack("!BB", 0x81, 0x80 | len(text)) + mask + masked)

    def _more(self) -> bytes:
        data = self.socket.recv(65_536)
        if not data:
            raise BrokenDelivery("the server closed a connection")
        return data

    def _expect(self, start: bytes) -> None:
        while (message := self._message()) is None:
            self._buffer += self._more()
        if not message.startswith(start):
            raise BrokenDelivery(f"expected {start!r}, not {message[:80]!r}")

    def _message(self) -> bytes | None:
        if len(self._buffer) < 2:
            return None
        size, start = self._buffer[1], 2
        if size == 126:
            if len(self._buffer) < 4:
                return None
            (size,), start = struct.unpack_from("!H", self._buffer, 2), 4
        if len(self._buffer) < start + size:
            return None
        message = bytes(self._buffer[start : start + size])
        del self._buffer[: start + size]
        return message

    def read(self) -> None:
        """Take what has arrived; every event must be the next one."""
        self._buffer += self._more()
        while (message := self._message()) is not None:
            if message == b"2":
                self.send(b"3")
                continue
            found = _NUMBER.search(message)
            if found is None or int(found[1]) != self.next:
                raise BrokenDelivery(f"expected number {self.next}, not {message[:80]!r}")
            self.next += 1


class Crowd:
    """Clients that receive the same broadcasts."""

    def __init__(self, port: int, size: int) -> None:
        self._selector = selectors.DefaultSelector()
        self.clients = [Client(port, f"user{number}") for number in range(size)]
        for client in self.clients:
            self._selector.register(client.socket, selectors.EVENT_READ, client)

    def receive(self, upto: int, seconds: float = 60.0) -> None:
        """Read until every client has had every message below `upto`."""
        deadline = time.monotonic() + seconds
        while any(client.next < upto for client in self.clients):
            for key, _ in self._selector.select(1.0):
                key.data.read()
            if time.monotonic() > deadline:
                raise BrokenDelivery(f"not everything below {upto} arrived within {seconds} s")

    def close(self) -> None:
        """Hang up."""
        for client in self.clients:
            client.socket.close()
        self._selector.close()
