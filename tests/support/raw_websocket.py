"""A WebSocket client that writes arbitrary bytes and returns every frame it receives."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import TypeAlias

from tests.support.client_frames import CLOSE, PING, frame

PATIENCE = 10.0
"""The longest time that a test waits for anything, in seconds."""

Frame: TypeAlias = tuple[int, bytes]
"""A whole frame's opcode and payload."""


def request(path: str = "/", headers: str = "") -> bytes:
    """The request that opens a WebSocket. `headers` are whole lines."""
    return (
        f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    ).encode()


class RawWebSocket:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""
        """The server's answer to the handshake, up to its empty line."""

    async def send(self, data: bytes, *, piece: int | None = None) -> None:
        """Write bytes at once, or in pieces that the server reads one by one."""
        for start in range(0, len(data), piece or len(data) or 1):
            self.writer.write(data[start : start + (piece or len(data))])
            await self.writer.drain()
            if piece:
                await asyncio.sleep(0)

    async def read_head(self) -> bytes:
        """Wait for the answer to the handshake."""
        async with asyncio.timeout(PATIENCE):
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        return self.head

    async def next(self) -> Frame:
        """The next frame.

        Raises:
            asyncio.IncompleteReadError: there will be none.
        """
        async with asyncio.timeout(PATIENCE):
            first, length = await self.reader.readexactly(2)
            assert first & 0x80 and not first & 0x70, "these servers do not write fragments or extensions"
            if length >= 126:
                length = int.from_bytes(await self.reader.readexactly(2 if length == 126 else 8))
            return first & 0x0F, await self.reader.readexactly(length)

    async def rest(self) -> list[Frame]:
        """All frames until the server has ended the connection. A close is answered."""
        found: list[Frame] = []
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            while True:
                found.append(await self.next())
                if found[-1][0] == CLOSE:
                    self.writer.write(frame(CLOSE, found[-1][1]))
        return found

    async def reached(self) -> None:
        """Wait until the server has read everything sent so far. The server must be reading."""
        await self.send(frame(PING, b"reached"))
        while await self.next() != (10, b"reached"):
            pass

    def vanish(self) -> None:
        """Drop the connection without a close."""
        self.writer.transport.abort()


@contextlib.asynccontextmanager
async def connect(port: int, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[RawWebSocket]:
    """Open a connection on which nothing has been sent."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
    try:
        yield RawWebSocket(reader, writer)
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def open_websocket(
    port: int, path: str = "/", headers: str = "", *, tls: ssl.SSLContext | None = None
) -> AsyncIterator[RawWebSocket]:
    """Open a WebSocket."""
    async with connect(port, tls=tls) as client:
        await client.send(request(path, headers))
        head = await client.read_head()
        assert head.startswith(b"HTTP/1.1 101 "), head
        yield client
