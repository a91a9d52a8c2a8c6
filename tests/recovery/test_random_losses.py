"""Clients that lose their connections at random points. Each gets every event once and in order."""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import random
import secrets
from collections.abc import Sequence
from typing import TypeAlias

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import TRANSPORTS, RawWebSocketClient, TransportName, raw_client
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
CLIENTS = 4
CONNECTIONS = 30
BREAKS = 0.01
"""How probable it is that a connection breaks after a packet before the answer to CONNECT."""
PACE = 0.001
"""Seconds between two events, so that history still has what a client missed."""


Apps: TypeAlias = tuple[list[RealtimeMiddleware], list[LiveServer]]


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
        self.breaks = BREAKS
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

    async def run(self, servers: Sequence[LiveServer], transport: TransportName, connections: int) -> None:
        """Connect again and again, and read on until some packets have come."""
        for _ in range(connections):
            self.broken_before_connect += not self._connected and bool(self._before_connect)
            self._connected = False
            async with raw_client(self.random.choice(servers), transport) as client:
                await client.send("0" + json.dumps(self.auth))
                while not self._connected:
                    self.received(await client.next())
                    if self.random.random() < self.breaks:
                        break
                for _ in range(self.random.choice([0, 1, 2, 5, 10]) if self._connected else 0):
                    self.received(await client.next())
                if isinstance(client, RawWebSocketClient) and self.random.random() < 0.5:
                    client.vanish()

    async def read_until(self, event: str, server: LiveServer) -> None:
        """Connect, and read on until an event comes."""
        self._connected = False
        async with raw_client(server, "websocket") as client:
            await client.send("0" + json.dumps(self.auth))
            has_come = False
            while not (self._connected and has_come):
                packet = await client.next()
                self.received(packet)
                has_come = has_come or packet.startswith(f'42["{event}"')


async def serve_apps(serve: Serve, gateways: Sequence[SocketIOGateway], redis: RedisProcess) -> Apps:
    """One app for each gateway. Several are joined by Redis."""
    settings = SETTINGS
    if len(gateways) > 1:
        settings = dataclasses.replace(SETTINGS, redis_url=redis.url, redis_prefix=secrets.token_hex(4))
    apps = [RealtimeMiddleware(Starlette(), gateways=[each], settings=settings) for each in gateways]
    return apps, [await serve(app) for app in apps]


@pytest.mark.parametrize("processes", [1, 2])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_each_event_arrives_once_and_in_order(
    transport: TransportName, processes: int, serve: Serve, redis_process: RedisProcess
) -> None:
    lobbies = [Lobby() for _ in range(processes)]
    apps, servers = await serve_apps(serve, lobbies, redis_process)
    clients = [StockClient(f"{transport} {number}") for number in range(CLIENTS)]
    async with asyncio.timeout(60):
        running = asyncio.gather(*[client.run(servers, transport, CONNECTIONS) for client in clients])
        numbers = itertools.count(1)
        while not running.done():
            await apps[0].broadcaster.broadcast_to_room("lobby", "n", next(numbers))
            for lobby in lobbies:
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


class Doors(SocketIOGateway):
    """Clients are put into a room and taken out of it by commands."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.send("connected")


async def test_commands_decide_what_a_client_misses(serve: Serve, redis_process: RedisProcess) -> None:
    """Of each stay in the room a client gets everything, or nothing more from the time that it was away at its end."""
    apps, servers = await serve_apps(serve, [Doors("/"), Doors("/")], redis_process)
    broadcaster = apps[0].broadcaster
    clients = {name: StockClient(name) for name in ("ann", "bob", "eve")}
    stays: dict[str, list[list[int]]] = {name: [] for name in clients}
    chosen, inside = random.Random(7), set[str]()
    async with asyncio.timeout(60):
        for client in clients.values():
            client.breaks = 0.0
            await client.read_until("connected", servers[0])
        running = asyncio.gather(*[client.run(servers, "websocket", CONNECTIONS) for client in clients.values()])
        number = 0
        while not running.done():
            name = chosen.choice(list(clients))
            if chosen.random() < 0.5:
                number += 1
                for each in inside:
                    stays[each][-1].append(number)
                await broadcaster.broadcast_to_room("room", "n", number)
            elif name in inside:
                inside.remove(name)
                await broadcaster.remove_user_from_room(name, "room")
            else:
                inside.add(name)
                stays[name].append([])
                await broadcaster.add_user_to_room(name, "room")
            await asyncio.sleep(PACE)
        await running
        await broadcaster.broadcast_to_all("end")
        for name, client in clients.items():
            await client.read_until("end", chosen.choice(servers))
            [got] = client.sessions
            assert client.recovered == CONNECTIONS + 1  # each time but the first
            for stay in stays[name]:
                of_stay = [each for each in got if each in stay]
                assert of_stay == stay[: len(of_stay)]
                assert of_stay == stay or not (stay is stays[name][-1] and name in inside)
            assert got == sorted({each for stay in stays[name] for each in stay} & set(got))
