"""Clients that connect and then stop reading."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import select
import socket
import struct
from collections.abc import AsyncIterator
from typing import Literal, TypeAlias

from tests.support.servers import LiveServer
from tests.support.target_app import PATIENCE

Kind: TypeAlias = Literal["Socket.IO", "JSON"]


def text_frame(text: str) -> bytes:
    """A WebSocket frame of a client (RFC 6455, section 5.2); masked with zeros, which changes no byte."""
    payload = text.encode()
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack("!H", size)
    return b"\x81" + length + bytes(4) + payload


class StalledClient:
    """A WebSocket on a socket with a small buffer, which is only read on request."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    async def send(self, *messages: str) -> None:
        """Send text frames."""
        await asyncio.get_running_loop().sock_sendall(self._socket, b"".join(map(text_frame, messages)))

    async def read_until(self, marker: bytes) -> bytes:
        """Read up to a marker."""
        received = b""
        async with asyncio.timeout(PATIENCE):
            while marker not in received:
                chunk = await asyncio.get_running_loop().sock_recv(self._socket, 65_536)
                assert chunk, received
                received += chunk
        return received

    async def cut_off(self) -> None:
        """Wait without reading until the server has dropped the connection and so resets it."""
        poll = select.poll()
        poll.register(self._socket, 0)  # no events: poll always reports errors
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while not await asyncio.to_thread(poll.poll, 50):
                    await self.send("3")

    def reset(self) -> None:
        """Close the socket at once, so that the server's next write fails."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    async def read_to_the_end(self) -> bytes:
        """Read until the server ends the connection in any way."""
        received = b""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE):
                while chunk := await asyncio.get_running_loop().sock_recv(self._socket, 65_536):
                    received += chunk
        return received


@contextlib.asynccontextmanager
async def stalled_client(server: LiveServer, name: str, kind: Kind = "Socket.IO") -> AsyncIterator[StalledClient]:
    """Connect to `/` (or `/json`) as a named user, then stop reading."""
    connection = socket.socket()
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", server.port))
        client = StalledClient(connection)
        key = base64.b64encode(os.urandom(16)).decode()
        request = (
            f"GET {'/json' if kind == 'JSON' else '/socket.io/?EIO=4&transport=websocket'} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{server.port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        await asyncio.get_running_loop().sock_sendall(connection, request.encode())
        if kind == "JSON":
            await client.read_until(b"\r\n\r\n")
            await client.send(f'{{"type":"auth","data":{{"name":"{name}"}}}}')
            await client.read_until(b'"auth_success"')
        else:
            await client.read_until(b'"maxPayload"')
            await client.send(f'40{{"name":"{name}"}}')
            await client.read_until(b'40{"sid"')
        yield client
    finally:
        connection.close()
