"""A Socket.IO client over a bare WebSocket: every packet is seen, and any can be sent."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

PATIENCE = 10.0


class RawClient:
    """One Engine.IO WebSocket. Answers pings while it reads, unless told not to."""

    def __init__(self, websocket: ClientConnection) -> None:
        self.websocket = websocket
        self.pings = 0

    async def send(self, packet: str | bytes) -> None:
        """Send an Engine.IO packet: `42["event"]` say."""
        await self.websocket.send(packet)

    async def emit(self, event: str, *args: Any, ack: str = "", namespace: str = "") -> None:
        """Send an event to the namespace `/`, or such as `/chat,`."""
        await self.send(f"42{namespace}{ack}{json.dumps([event, *args])}")

    async def connect(self, auth: Any = None, namespace: str = "") -> str:
        """Ask for a namespace and return the answer."""
        await self.send(f"40{namespace}" + ("" if auth is None else json.dumps(auth)))
        return await self.next()

    async def next(self) -> str:
        """The next packet that is no heartbeat."""
        async with asyncio.timeout(PATIENCE):
            while True:
                packet = await self.websocket.recv()
                if packet == "2":
                    self.pings += 1
                    await self.websocket.send("3")
                    continue
                return packet if isinstance(packet, str) else f"bytes {packet!r}"

    async def until(self, event: str) -> list[str]:
        """Everything before the next event of this name, which is taken too but not returned."""
        packets: list[str] = []
        while f'["{event}"' not in (packet := await self.next()):
            packets.append(packet)
        return packets

    async def closed(self) -> tuple[list[str], int | None]:
        """What is still written, and the code of the close."""
        packets: list[str] = []
        try:
            while True:
                packets.append(await self.next())
        except websockets.ConnectionClosed:
            return packets, self.websocket.close_code

    def vanish(self) -> None:
        """Be gone without a word."""
        self.websocket.transport.abort()


@contextlib.asynccontextmanager
async def raw_client(websocket_url: str, **options: Any) -> AsyncIterator[RawClient]:
    """Open a session over a WebSocket."""
    url = f"{websocket_url}/socket.io/?EIO=4&transport=websocket"
    async with websockets.connect(url, ping_interval=None, close_timeout=1, compression=None, **options) as websocket:
        client = RawClient(websocket)
        assert (await client.next()).startswith("0{")
        yield client
