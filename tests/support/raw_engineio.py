"""Raw Engine.IO sessions over both transports, for packets that client libraries never send."""

from __future__ import annotations

import abc
import asyncio
import base64
import contextlib
import json
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from typing import Any, Literal, TypeAlias, overload

import httpx
import websockets
from websockets.asyncio.client import ClientConnection

from asgi_realtime.values.json import Json
from tests.support.servers import LiveServer

PATIENCE = 10.0
"""The longest time that a test waits for anything, in seconds."""

TransportName: TypeAlias = Literal["polling", "websocket"]
TRANSPORTS: tuple[TransportName, ...] = ("polling", "websocket")


class SessionClosed(Exception):
    """The server has ended the session."""


class RawClient(abc.ABC):
    """An Engine.IO session.

    A packet is an Engine.IO packet: text with its type in front, or the bytes of a binary message. A message is what
    a packet of type 4 carries: a Socket.IO packet as `str`, or an attachment as `bytes`.
    """

    def __init__(self, handshake: dict[str, Json]) -> None:
        self.handshake = handshake
        """The content of the server's open packet: `sid`, `pingInterval` ..."""
        self.pings = 0
        """Heartbeats that were answered."""

    @abc.abstractmethod
    async def send_packet(self, packet: str | bytes) -> None:
        """Send a packet."""

    @abc.abstractmethod
    async def receive_packet(self) -> str | bytes:
        """The next packet.

        Raises:
            SessionClosed: there will be none.
        """

    async def send(self, *messages: str | bytes) -> None:
        """Send messages, in one request where the transport has requests."""
        for message in messages:
            await self.send_packet("4" + message if isinstance(message, str) else message)

    async def pong(self) -> None:
        """Answer a heartbeat."""
        await self.send_packet("3")

    async def next(self) -> str:
        """The next packet; pings are answered, not returned.

        Raises:
            SessionClosed: there will be none.
        """
        while (packet := await self.receive_packet()) == "2":
            self.pings += 1
            await self.pong()
        return packet if isinstance(packet, str) else f"bytes {packet!r}"

    async def receive(self) -> str | bytes:
        """The next message; pings are answered, not returned.

        Raises:
            SessionClosed: there will be none.
        """
        while True:
            packet = await self.receive_packet()
            if isinstance(packet, bytes):
                return packet
            if packet.startswith("4"):
                return packet[1:]
            if packet == "2":
                self.pings += 1
                await self.pong()

    async def emit(self, event: str, *args: Any, ack: str = "", namespace: str = "") -> None:
        """Send an event to the namespace `/`, or to another one, written as `/chat,`."""
        await self.send(f"2{namespace}{ack}{json.dumps([event, *args])}")

    async def connect(self, auth: Any = None, namespace: str = "") -> str:
        """Connect to a namespace and return the packet that answers."""
        await self.send(f"0{namespace}" + ("" if auth is None else json.dumps(auth)))
        return await self.next()

    async def until(self, event: str) -> list[str]:
        """The packets before the next event of this name, which is also taken but not returned."""
        packets: list[str] = []
        while f'["{event}"' not in (packet := await self.next()):
            packets.append(packet)
        return packets


async def receive_json(client: RawClient, prefix: str) -> Json:
    """The next message, without the packet type and namespace it must begin with."""
    message = await client.receive()
    assert isinstance(message, str) and message.startswith(prefix), f"{message!r} does not begin with {prefix!r}"
    return json.loads(message[len(prefix) :])


async def read_until_closed(client: RawClient) -> list[str | bytes]:
    """Wait until the server ends the session. Returns the messages before the end."""
    messages = []
    with contextlib.suppress(SessionClosed):
        while True:
            messages.append(await client.receive())
    return messages


@overload
def raw_client(
    server: LiveServer,
    transport: Literal["websocket"],
    *,
    path: str = "",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AbstractAsyncContextManager[RawWebSocketClient]: ...
@overload
def raw_client(
    server: LiveServer, transport: TransportName, *, headers: dict[str, str] | None = None
) -> AbstractAsyncContextManager[RawClient]: ...
def raw_client(
    server: LiveServer,
    transport: TransportName,
    *,
    path: str = "",
    headers: dict[str, str] | None = None,
    **options: Any,
) -> AbstractAsyncContextManager[RawClient]:
    """Open a session at `/socket.io` below a path; it is closed when the block ends.

    `options` are those of `websockets.connect`.
    """
    address = f"{path}/socket.io/?EIO=4&transport={transport}"
    if transport == "websocket":
        return _over_websocket(server.websocket_url + address, headers, options)
    return _over_polling(server.url + address, headers)


@contextlib.asynccontextmanager
async def _over_websocket(
    url: str, headers: dict[str, str] | None, options: dict[str, Any]
) -> AsyncIterator[RawWebSocketClient]:
    options = {"ping_interval": None, "close_timeout": 1, "compression": None, **options}
    async with websockets.connect(url, additional_headers=headers, **options) as websocket:
        yield RawWebSocketClient(websocket, _opened(str(await websocket.recv())))


@contextlib.asynccontextmanager
async def _over_polling(address: str, headers: dict[str, str] | None) -> AsyncIterator[RawClient]:
    async with httpx.AsyncClient(headers=headers, timeout=PATIENCE * 2, verify=False) as http:
        response = await http.get(address)
        assert response.status_code == 200, response.text
        handshake = _opened(response.text)
        url = f"{address}&sid={handshake['sid']}"
        yield _Polling(http, url, handshake)
        # A server that stops waits for the next poll of every session, to send the close.
        await http.post(url, content="1")


def _opened(packet: str) -> dict[str, Json]:
    assert packet.startswith("0"), packet
    handshake: dict[str, Json] = json.loads(packet[1:])
    return handshake


class RawWebSocketClient(RawClient):
    """A session over a WebSocket."""

    def __init__(self, websocket: ClientConnection, handshake: dict[str, Json]) -> None:
        super().__init__(handshake)
        self.websocket = websocket

    async def send_packet(self, packet: str | bytes) -> None:
        await self.websocket.send(packet)

    async def receive_packet(self) -> str | bytes:
        try:
            async with asyncio.timeout(PATIENCE):
                return await self.websocket.recv()
        except websockets.ConnectionClosed as error:
            raise SessionClosed from error

    async def until_closed(self) -> tuple[list[str], int | None]:
        """The packets before the end, and the code of the close."""
        packets: list[str] = []
        with contextlib.suppress(SessionClosed):
            while True:
                packets.append(await self.next())
        return packets, self.websocket.close_code

    def vanish(self) -> None:
        """Drop the connection without a close."""
        self.websocket.transport.abort()


class _Polling(RawClient):
    def __init__(self, http: httpx.AsyncClient, url: str, handshake: dict[str, Json]) -> None:
        super().__init__(handshake)
        self._http = http
        self._url = url
        self._packets: deque[str] = deque()

    async def send(self, *messages: str | bytes) -> None:
        await self._post(*["4" + m if isinstance(m, str) else "b" + base64.b64encode(m).decode() for m in messages])

    async def send_packet(self, packet: str | bytes) -> None:
        await self._post(packet if isinstance(packet, str) else "b" + base64.b64encode(packet).decode())

    async def _post(self, *packets: str) -> None:
        # A session that the server has closed answers 400: the next `receive` raises.
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
