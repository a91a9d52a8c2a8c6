"""Clients that lose their connections at random points. Each gets every event once and in order."""

from __future__ import annotations

import asyncio
import itertools
import json
import random

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import TRANSPORTS, RawWebSocketClient, TransportName, raw_client
from tests.support.servers import LiveServer, Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
CLIENTS = 4
CONNECTIONS = 30
BREAKS = 0.01
"""How probable it is that a connection breaks after a packet before the answer to CONNECT."""


PACE = 0.001
"""Seconds between two events, so that history still has what a client missed."""


class Lobby(SocketIOGateway):
    """Every client is in one room. An event is published while a client is let in."""

    def __init__(self) -> None:
        super().__init__("/")
        self.published = asyncio.Event()

    async def on_connect(self, connection: Connection) -> None:
        if not connection.recovered:
            await connection.join("lobby")
        self.published.clear()
        await self.published.wait()
        await connection.send("ready")


class StockClient:
    """Does with packets what the JavaScript client does: see docs/decisions/0036-who-gets-positions.md."""

    def __init__(self, name: str) -> None:
        self.auth: dict[str, Json] = {"token": create_token(name, settings=SETTINGS), "recovery": True}
        self.random = random.Random(name)
        self.sessions: list[list[int]] = []
        """The numbers of the events, by session."""
        self.recovered = 0
        self.broken_before_connect = 0
        self._before_connect: list[list[Json]] = []
        self._connected = False

    def received(self, packet: str) -> None:
        if packet.startswith("40"):
            pid = json.loads(packet[2:])["pid"]
            known, self.auth["pid"] = self.auth.get("pid"), pid
            self._connected = True
            waiting, self._before_connect = self._before_connect, []
            for kept in waiting:
                self._handle(kept)
            if pid == known:
                self.recovered += 1
            else:
                self.sessions.append([])
        elif packet.startswith("42"):
            event: list[Json] = json.loads(packet[2:])
            if self._connected:
                self._handle(event)
            else:
                self._before_connect.append(event)

    def _handle(self, event: list[Json]) -> None:
        if isinstance(event[-1], str) and "pid" in self.auth:
            self.auth["offset"] = event[-1]
        if event[0] == "n":
            self.sessions[-1].append(event[1])

    async def run(self, server: LiveServer, transport: TransportName) -> None:
        """Connect again and again, and read on until some packets have come."""
        for _ in range(CONNECTIONS):
            self.broken_before_connect += not self._connected and bool(self._before_connect)
            self._connected = False
            async with raw_client(server, transport) as client:
                await client.send("0" + json.dumps(self.auth))
                while not self._connected:
                    self.received(await client.next())
                    if self.random.random() < BREAKS:
                        break
                for _ in range(self.random.choice([0, 1, 2, 5, 10]) if self._connected else 0):
                    self.received(await client.next())
                if isinstance(client, RawWebSocketClient) and self.random.random() < 0.5:
                    client.vanish()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_event_arrives_once_and_in_order(transport: TransportName, serve: Serve) -> None:
    lobby = Lobby()
    app = RealtimeMiddleware(Starlette(), gateways=[lobby], settings=SETTINGS)
    server = await serve(app)
    clients = [StockClient(f"{transport} {number}") for number in range(CLIENTS)]
    async with asyncio.timeout(60):
        running = asyncio.gather(*[client.run(server, transport) for client in clients])
        numbers = itertools.count(1)
        while not running.done():
            await app.broadcaster.broadcast_to_room("lobby", "n", next(numbers))
            lobby.published.set()
            await asyncio.sleep(PACE)
        await running
    for client in clients:
        for numbers_of_session in client.sessions:
            first = numbers_of_session[0] if numbers_of_session else 0
            assert numbers_of_session == list(range(first, first + len(numbers_of_session)))
        everything = [number for numbers_of_session in client.sessions for number in numbers_of_session]
        assert 0 < len(everything) == len(set(everything))
        # Told otherwise only when a connection broke between missed events and the answer to CONNECT.
        assert len(client.sessions) - 1 <= client.broken_before_connect
        assert client.recovered >= CONNECTIONS // 2
