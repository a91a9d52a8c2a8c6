"""The composition root: starting, stopping, starting again, and many operations at once."""

from __future__ import annotations

import asyncio
import random
import time
from functools import partial
from typing import Any

import pytest
import websockets
from starlette.applications import Starlette

from asgi_realtime import (
    ConfigurationError,
    Connection,
    Handshake,
    InfraGateway,
    MewGateway,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    UserRooms,
    WebSocketGateway,
    on,
)
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.connection.connection import internal
from asgi_realtime.values.identity import Identity
from tests.support.raw_engineio import SessionClosed, raw_client
from tests.support.recording import RecordingTransport
from tests.support.servers import Serve
from tests.support.waiting import no_user_online, until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0, drain_timeout=0.5)


class Slow(SocketIOGateway):
    """A slow host."""

    def __init__(self) -> None:
        super().__init__("/")
        self.log: list[str] = []
        self.begun = asyncio.Event()
        self.seconds = 0.05

    @on("save")
    async def save(self) -> None:
        self.begun.set()
        await asyncio.sleep(self.seconds)
        self.log.append("saved")

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        await asyncio.sleep(self.seconds)
        self.log.append("left")


async def enter(gateway: Slow) -> Connection:
    transport = RecordingTransport(gateway=gateway)
    return await gateway.open(Handshake(gateway=gateway.name, auth={"token": create_token("ann", SETTINGS)}), transport)


async def test_stopping_waits_for_running_handlers(serve: Serve) -> None:
    gateway = Slow()
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    server = await serve(middleware)
    async with raw_client(server, "websocket") as client:
        await client.connect({"token": create_token("ann", SETTINGS)})
        await client.emit("save")
        await gateway.begun.wait()
        await middleware.realtime.stop()
        assert gateway.log == ["saved", "left"]
        assert (await client.until_closed())[1] == 1012


async def test_stopping_takes_no_longer_than_the_drain_timeout() -> None:
    gateway = Slow()
    gateway.seconds = 60.0
    realtime = Realtime(gateways=[gateway], settings=SETTINGS)
    await realtime.start()
    connection = await enter(gateway)
    gateway.receive(internal(connection), "save", [], None, time.monotonic())
    await gateway.begun.wait()
    began = time.monotonic()
    await realtime.stop()
    assert time.monotonic() - began < 2
    assert not len(realtime.tasks)
    assert gateway.log == []
    await realtime.stop()


def test_one_object_runs_on_many_event_loops() -> None:
    gateway = Slow()
    gateway.seconds = 0.0
    realtime = Realtime(gateways=[gateway], settings=SETTINGS)

    async def run() -> int:
        async with realtime:
            await realtime.start()
            await enter(gateway)
            receipt = await realtime.broadcaster.broadcast_to_all("x")
            for connection in realtime.hub.rooms(gateway.name).everybody:
                connection.end(1000, "")
            return receipt.delivered_locally

    assert [asyncio.run(run()) for _ in range(3)] == [1, 1, 1]


def test_missing_configuration_is_reported_at_construction() -> None:
    for gateway in (SocketIOGateway("/"), WebSocketGateway("/chat"), MewGateway(service=Service(Starlette()))):
        with pytest.raises(ConfigurationError, match="MEW_JWT_SECRET"):
            Realtime(gateways=[gateway], settings=Settings())
    Realtime(gateways=[InfraGateway()], settings=Settings())
    with pytest.raises(ConfigurationError, match="no MewGateway is mounted"):
        Realtime(gateways=[], settings=Settings()).one(MewGateway)


class Service:
    """A host whose rooms change constantly, and which is sometimes slow or fails."""

    def __init__(self, seed: Any) -> None:
        self.chance = random.Random(str(seed))

    async def rooms_of(self, identity: Identity) -> UserRooms:
        for _ in range(self.chance.randrange(5)):
            await asyncio.sleep(0)
        if self.chance.random() < 0.1:
            raise LookupError("no database")
        return UserRooms({"s": [f"c{self.chance.randrange(4)}"]}, ["d"])

    async def create_message(self, *_: Any) -> None: ...


@pytest.mark.parametrize("seed", range(5))
async def test_concurrent_connects_kicks_and_broadcasts_leave_nothing_behind(seed: int, serve: Serve) -> None:
    """Clients connect, disconnect and vanish; users are refreshed, kicked and revoked, during broadcasts."""
    chance = random.Random(seed)
    gateway = MewGateway(service=Service(seed))
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    server = await serve(middleware)
    realtime = middleware.realtime
    broadcaster = realtime.broadcaster

    async def client() -> None:
        user_id = f"u{chance.randrange(4)}"
        async with raw_client(server, "websocket") as raw:
            try:
                await raw.send_packet('40{"token":"' + create_token(user_id, SETTINGS) + '"}')
                for _ in range(chance.randrange(8)):
                    await asyncio.wait_for(raw.next(), 0.1)
                if chance.random() < 0.5:
                    raw.vanish()
                elif chance.random() < 0.5:
                    await raw.send_packet("41")
            except (websockets.ConnectionClosed, SessionClosed, TimeoutError):
                pass

    async def host() -> None:
        for number in range(60):
            user_id = f"u{chance.randrange(4)}"
            changes = [
                partial(broadcaster.refresh_rooms, user_id),
                partial(broadcaster.refresh_members, "s"),
                partial(broadcaster.remove_user_from_room, user_id, "s"),
                partial(broadcaster.add_user_to_room, user_id, "c1", parent="s"),
                partial(broadcaster.close_room, "s"),
                partial(broadcaster.disconnect_user, user_id),
                partial(broadcaster.revoke_user, user_id),
            ]
            await chance.choice(changes)()
            await broadcaster.broadcast_to_room("c1", "x", number)
            await broadcaster.broadcast_to_all("y", number)
            await asyncio.sleep(0.002)

    talking = asyncio.create_task(host())
    await asyncio.gather(*[client() for _ in range(25)])
    await talking
    await until(lambda: not len(realtime.tasks) and not realtime.engineio.sessions)
    rooms = realtime.hub.rooms(gateway.name)
    assert not rooms.everybody
    assert not rooms.names
    assert not rooms.users
    assert not rooms.parents
    assert not rooms.children
    await no_user_online(realtime)
