"""Socket.IO packets by hand, over either transport: for what a well-behaved client library never sends."""

from __future__ import annotations

import abc
import asyncio
import base64
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from typing import Literal, Protocol, TypeAlias

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from asgi_realtime.values.json import Json
from tests.support.servers import LiveServer

PATIENCE = 5.0
"""Seconds anything may take that a test waits for."""

TransportName: TypeAlias = Literal["polling", "websocket"]
TRANSPORTS: tuple[TransportName, ...] = ("polling", "websocket")


class SessionClosed(Exception):
    """The server has ended the session."""


class RawClient(Protocol):
    """An Engine.IO session. Messages are Socket.IO packets as `str` and attachments as `bytes`."""

    handshake: dict[str, Json]
    """What the server said when it opened the session: `sid`, `pingInterval` ..."""

    async def send(self, *messages: str | bytes) -> None:
        """Send messages, in one request where the transport has requests."""

    async def pong(self) -> None:
        """Answer a heartbeat."""

    async def receive_packet(self) -> str | bytes:
        """The next Engine.IO packet: text with its type in front, or the bytes of a binary message.

        Raises:
            SessionClosed: there will be none.
        """

    async def receive(self) -> str | bytes:
        """The next message; pings are answered, not returned.

        Raises:
            SessionClosed: there will be none.
        """


async def receive_json(client: RawClient, prefix: str) -> Json:
    """The next message, without the packet type and namespace it must begin with."""
    message = await client.receive()
    assert isinstance(message, str) and message.startswith(prefix), f"{message!r} does not begin with {prefix!r}"
    return json.loads(message[len(prefix) :])


async def closing(client: RawClient) -> list[str | bytes]:
    """Wait until the server ends the session; what it sent before."""
    messages = []
    with contextlib.suppress(SessionClosed):
        while True:
            messages.append(await client.receive())
    return messages


@contextlib.asynccontextmanager
async def raw_client(
    server: LiveServer, transport: TransportName, *, headers: dict[str, str] | None = None
) -> AsyncIterator[RawClient]:
    """Open a session at `/socket.io`; it is closed when the block ends."""
    query = f"/socket.io/?EIO=4&transport={transport}"
    if transport == "websocket":
        async with websockets.connect(server.websocket_url + query, additional_headers=headers) as socket:
            yield _WebSocket(socket, _opened(str(await socket.recv())))
    else:
        async with httpx.AsyncClient(headers=headers, timeout=PATIENCE * 2, verify=False) as http:
            response = await http.get(server.url + query)
            assert response.status_code == 200, response.text
            handshake = _opened(response.text)
            url = f"{server.url}{query}&sid={handshake['sid']}"
            yield _Polling(http, url, handshake)
            # A session that nobody polls would wait, when the server stops, for somebody to tell.
            await http.post(url, content="1")


def _opened(packet: str) -> dict[str, Json]:
    assert packet.startswith("0"), packet
    handshake: dict[str, Json] = json.loads(packet[1:])
    return handshake


class _Session(abc.ABC):
    def __init__(self, handshake: dict[str, Json]) -> None:
        self.handshake = handshake

    @abc.abstractmethod
    async def send(self, *messages: str | bytes) -> None: ...

    @abc.abstractmethod
    async def pong(self) -> None: ...

    @abc.abstractmethod
    async def receive_packet(self) -> str | bytes: ...

    async def receive(self) -> str | bytes:
        while True:
            packet = await self.receive_packet()
            if isinstance(packet, bytes):
                return packet
            if packet.startswith("4"):
                return packet[1:]
            if packet == "2":
                await self.pong()


class _WebSocket(_Session):
    def __init__(self, socket: ClientConnection, handshake: dict[str, Json]) -> None:
        super().__init__(handshake)
        self._socket = socket

    async def send(self, *messages: str | bytes) -> None:
        for message in messages:
            await self._socket.send("4" + message if isinstance(message, str) else message)

    async def pong(self) -> None:
        await self._socket.send("3")

    async def receive_packet(self) -> str | bytes:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._socket.recv()
        except websockets.ConnectionClosed as error:
            raise SessionClosed from error


class _Polling(_Session):
    def __init__(self, http: httpx.AsyncClient, url: str, handshake: dict[str, Json]) -> None:
        super().__init__(handshake)
        self._http = http
        self._url = url
        self._packets: deque[str] = deque()

    async def send(self, *messages: str | bytes) -> None:
        await self._post(*["4" + m if isinstance(m, str) else "b" + base64.b64encode(m).decode() for m in messages])

    async def pong(self) -> None:
        await self._post("3")

    async def _post(self, *packets: str) -> None:
        # A session that the server has closed answers 400: the next `receive` tells.
        await self._http.post(self._url, content="\x1e".join(packets))

    async def receive_packet(self) -> str | bytes:
        while not self._packets:
            async with asyncio.timeout(PATIENCE):
                response = await self._http.get(self._url)
            if response.status_code != 200:
                raise SessionClosed(response.text)
            self._packets.extend(response.text.split("\x1e"))
        packet = self._packets.popleft()
        if packet == "1":
            raise SessionClosed
        return base64.b64decode(packet[1:]) if packet.startswith("b") else packet
