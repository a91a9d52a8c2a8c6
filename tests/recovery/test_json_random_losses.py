"""Clients of a JSON gateway that lose their connections at random points. Each gets every event once and in order."""

from __future__ import annotations

import asyncio
import itertools
import random

from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, WebSocketGateway, create_token
from tests.support.json_recovery_client import JSONRecoveryClient, Way
from tests.support.servers import LiveServer, Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
CLIENTS = 4
CONNECTIONS = 40
PACE = 0.001
"""Seconds between two events, so that history still has what a client missed."""


class Lobby(WebSocketGateway):
    """Every client is in one room. An event is published while a client is let in."""

    def __init__(self) -> None:
        super().__init__("/lobby")
        self.published = asyncio.Event()

    async def on_connect(self, connection: Connection) -> None:
        if not connection.recovered:
            await connection.join("lobby")
        self.published.clear()
        await self.published.wait()
        await connection.send("ready")


async def run(client: JSONRecoveryClient, chance: random.Random) -> int:
    """Connect again and again, and read on until some frames have come. Returns how often it was recovered."""
    recovered = 0
    for _ in range(CONNECTIONS):
        await client.open()
        if chance.random() < 0.9:
            await client.accepted()
            recovered += client.recovered
            for _ in range(chance.choice([0, 1, 2, 5, 10, 20])):
                await client.next()
        else:  # the first frame may be on its way, or not
            await asyncio.sleep(chance.choice([0, PACE]))
        if chance.random() < 0.7:
            client.vanish()
        elif chance.random() < 0.5:
            client.websocket.transport.close()
        # Otherwise its transport is still there when it returns.
    client.vanish()
    return recovered


def client_of(server: LiveServer, number: int) -> JSONRecoveryClient:
    way: Way = "query" if number % 2 else "frame"
    return JSONRecoveryClient(server.websocket_url + "/lobby", create_token(f"user {number}", SETTINGS), way)


async def test_each_event_arrives_once_and_in_order(serve: Serve) -> None:
    lobby = Lobby()
    app = RealtimeMiddleware(Starlette(), gateways=[lobby], settings=SETTINGS)
    server = await serve(app)
    clients = [client_of(server, number) for number in range(CLIENTS)]
    for client in clients:
        connecting = asyncio.ensure_future(client.connect())
        while not connecting.done():
            lobby.published.set()
            await asyncio.sleep(PACE)
        await connecting
    async with asyncio.timeout(60):
        running = asyncio.gather(*[run(client, random.Random(number)) for number, client in enumerate(clients)])
        numbers = itertools.count(1)
        while not running.done():
            await app.broadcaster.broadcast_to_room("lobby", "n", next(numbers))
            lobby.published.set()
            await asyncio.sleep(PACE)
        recovered = await running
    for client, times in zip(clients, recovered, strict=True):
        # It was told otherwise only if it had left before the first frame: nothing else breaks a session.
        got = client.data()
        assert got == list(range(1, len(got) + 1))
        assert times > CONNECTIONS // 2
        assert len(got) > CONNECTIONS
