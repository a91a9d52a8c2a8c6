"""A Socket.IO client on a WebSocket that costs little, so that one process can hold thousands."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any, Final

REQUEST: Final = (
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
ABNORMAL: Final = 1006
"""The close code of a connection that ended without a close frame (RFC 6455, section 7.4.1)."""


class LightClient(asyncio.Protocol):
    """One connection to the namespace `/`.

    `on_event` is called with the arguments of each event, its name first, in the order of the wire. `call` calls back
    in that order too, so a callback knows which events came before the acknowledgement. `cookie` is the header.
    """

    __slots__ = (
        "_acks",
        "_buffer",
        "_cookie",
        "_on_event",
        "_opened",
        "_token",
        "_transport",
        "code",
        "ended",
        "ended_at",
        "reason",
        "status",
    )

    def __init__(self, token: str, on_event: Callable[[list[Any]], None], cookie: str = "") -> None:
        loop = asyncio.get_running_loop()
        self._token = token
        self._cookie = cookie
        self._on_event = on_event
        self._transport: asyncio.Transport | None = None
        self._buffer = bytearray()
        self._opened: asyncio.Future[bool] = loop.create_future()
        self._acks: dict[int, Callable[[list[Any]], None]] = {}
        self.status: int | None = None
        """The HTTP status of the answer."""
        self.code: int | None = None
        """The code of the close frame of the server."""
        self.reason = ""
        """The reason in that frame, or the packet with which the gateway refused."""
        self.ended: asyncio.Future[None] = loop.create_future()
        """Done when the connection has ended."""
        self.ended_at = 0.0

    async def connect(self, port: int) -> bool:
        """Connect. Returns False if the server did not accept."""
        try:
            await asyncio.get_running_loop().create_connection(lambda: self, "127.0.0.1", port)
        except OSError:
            return False
        return await self._opened

    def call(self, event: str, *args: Any, then: Callable[[list[Any]], None]) -> None:
        """Send an event. `then` is called with the acknowledgement."""
        number = len(self._acks)
        while number in self._acks:
            number += 1
        self._acks[number] = then
        self._send(f"42{number}{json.dumps([event, *args])}".encode())

    async def called(self, event: str, *args: Any) -> list[Any] | None:
        """Send an event and return the acknowledgement. None: the connection ended first."""
        answer: asyncio.Future[list[Any]] = asyncio.get_running_loop().create_future()
        self.call(event, *args, then=answer.set_result)
        either: list[asyncio.Future[Any]] = [answer, self.ended]
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return answer.result() if answer.done() else None

    @property
    def outcome(self) -> str:
        """How the connection was refused or ended."""
        return f"{self.status} {self.code} {self.reason}"

    def drop(self) -> None:
        """End the connection."""
        if self._transport is not None:
            self._transport.abort()

    # For asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        cookie = f"Cookie: {self._cookie}\r\n" if self._cookie else ""
        transport.write(REQUEST.removesuffix("\r\n").encode() + f"{cookie}\r\n".encode())

    def connection_lost(self, error: Exception | None) -> None:
        self.ended_at = time.monotonic()
        if not self._opened.done():
            self._opened.set_result(False)
        self.ended.set_result(None)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        if self.status is None:
            end = buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            self.status = int(buffer[9:12])
            del buffer[: end + 4]
            if self.status != 101:
                self.drop()
                return
        start = 0
        while (frame := _frame(buffer, start)) is not None:
            opcode, first, start = frame
            if opcode == 1:
                self._received(bytes(buffer[first:start]))
            elif opcode == 9:
                self._send(bytes(buffer[first:start]), opcode=10)
            elif opcode == 8:
                self.code = int.from_bytes(buffer[first : first + 2])
                self.reason = buffer[first + 2 : start].decode()
                self._send(bytes(buffer[first : first + 2]), opcode=8)
        del buffer[:start]

    def _received(self, packet: bytes) -> None:
        if packet.startswith(b"42"):
            self._on_event(json.loads(packet[2:]))
        elif packet.startswith(b"43"):
            start = packet.index(b"[")
            self._acks.pop(int(packet[2:start]))(json.loads(packet[start:]))
        elif packet == b"2":
            self._send(b"3")
        elif packet.startswith(b"0"):
            self._send(f'40{{"token":"{self._token}"}}'.encode())
        elif packet.startswith(b"40") and not self._opened.done():
            self._opened.set_result(True)
        elif packet.startswith(b"44"):
            self.reason = packet.decode()
            self.drop()

    def _send(self, data: bytes, opcode: int = 1) -> None:
        """Write a frame. Its mask is zero, so that the data need not be changed."""
        assert self._transport is not None
        size = bytes((0x80 | len(data),)) if len(data) < 126 else b"\xfe" + len(data).to_bytes(2)
        self._transport.write(bytes((0x80 | opcode,)) + size + bytes(4) + data)


def _frame(buffer: bytearray, start: int) -> tuple[int, int, int] | None:
    """The opcode of the frame that begins at `start`, and where its payload begins and ends. None: it is incomplete."""
    if len(buffer) < start + 2:
        return None
    size, first = buffer[start + 1], start + 2
    if size == 126:
        first += 2
    elif size == 127:
        first += 8
    if size > 125:
        size = int.from_bytes(buffer[start + 2 : first])
    return (buffer[start] & 15, first, first + size) if len(buffer) >= first + size else None
