"""The command that disconnects the members of a room."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, create_token, on
from asgi_realtime.runtime.batches import AT_ONCE
from asgi_realtime.values.commands import DisconnectMembers, DisconnectUser, RevokeUser
from asgi_realtime.values.ids import GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Publication, ToAll
from tests.support.crowd.client import LightClient
from tests.support.raw_engineio import RawClient, raw_client
from tests.support.recording import GATEWAY, RecordedCloses, World
from tests.support.servers import Serve

LOBBY = RoomName("lobby")
SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)


async def test_the_members_of_a_room_of_the_gateway_are_disconnected() -> None:
    world = World()
    members, (_, outside) = [world.admit("ann") for _ in range(2)], world.admit("ann")
    for connection, _ in members:
        world.rooms.join(connection, LOBBY)
    world.hub.apply(DisconnectMembers(GatewayName("/other"), LOBBY, 1008, "out"))
    world.hub.apply(DisconnectMembers(GATEWAY, RoomName("attic"), 1008, "out"))
    assert len(world.rooms) == 3
    world.hub.apply(DisconnectMembers(GATEWAY, LOBBY, 4001, "closed"))
    assert [transport.closes for _, transport in members] == [[(4001, "closed")]] * 2
    assert (outside.closes, len(world.rooms)) == ([], 1)


@pytest.mark.parametrize(
    ("command", "end"),
    [
        (DisconnectMembers(GATEWAY, LOBBY, 4001, "closed"), (4001, "closed")),
        (DisconnectUser(None, UserId("ann"), 1000, "bye"), (1000, "bye")),
        (RevokeUser(UserId("ann"), 1_000.0), (1008, "credentials revoked")),
    ],
)
async def test_many_connections_leave_at_once_and_are_closed_in_batches(
    command: DisconnectMembers | DisconnectUser | RevokeUser, end: tuple[int, str]
) -> None:
    world = World()
    admitted = []
    for _ in range(AT_ONCE + 1):
        connection, transport = world.connection("ann", iat=0.0)
        world.rooms.add(connection)  # past the limit of connections for one user
        world.rooms.join(connection, LOBBY)
        admitted.append((connection, transport))
    closes = RecordedCloses(admitted)
    world.hub.apply(command)
    assert (len(world.rooms), closes.connections) == (0, [])
    assert all(connection.closed for connection, _ in admitted)
    assert world.deliver(Publication(gateway=GATEWAY, target=ToAll(), event="news")) == 0
    await closes.begun.wait()
    assert closes.connections == [connection for connection, _ in admitted[:AT_ONCE]]
    await world.tasks.until_idle()
    assert closes.connections == [connection for connection, _ in admitted]
    for _, transport in admitted:
        assert (transport.closes, transport.written) == ([end], [])


class Lobby(SocketIOGateway):
    """Every client is in the room, and may speak."""

    def __init__(self) -> None:
        super().__init__("/")
        self.heard: list[str] = []

    async def on_connect(self, connection: Connection) -> None:
        await connection.join(LOBBY)

    @on("say")
    async def say(self, text: str) -> str:
        self.heard.append(text)
        return text


@contextlib.asynccontextmanager
async def last_of_many(serve: Serve, lobby: Lobby) -> AsyncIterator[tuple[RawClient, LightClient]]:
    """Two clients of the second batch, after all members were disconnected: one to try things, and one behind it."""
    middleware = RealtimeMiddleware(Starlette(), gateways=[lobby], settings=SETTINGS)
    server = await serve(middleware)
    clients = [LightClient(create_token(f"user{number}", SETTINGS), print) for number in range(AT_ONCE + 1)]
    for client in clients[:-1]:
        assert await client.connect(server.port)
    async with raw_client(server, "websocket") as last:
        assert (await last.connect({"token": create_token("ann", SETTINGS)})).startswith('40{"sid"')
        assert await clients[-1].connect(server.port)
        await middleware.realtime.broadcaster.disconnect_members(LOBBY)
        yield last, clients[-1]
        await asyncio.gather(*(client.ended for client in clients))


async def test_events_of_a_client_are_dropped_although_its_close_is_still_to_come(serve: Serve) -> None:
    lobby = Lobby()
    async with last_of_many(serve, lobby) as (client, _):
        await client.emit("say", "let me", ack="1")
        assert await client.next() == "41"
    assert lobby.heard == []


async def test_a_client_that_connects_again_before_its_batch_is_not_closed_by_it(serve: Serve) -> None:
    lobby = Lobby()
    async with last_of_many(serve, lobby) as (client, behind):
        await client.send("1")
        assert (await client.connect({"token": create_token("ann", SETTINGS)})).startswith('40{"sid"')
        await behind.ended
        await client.emit("say", "back", ack="1")
        assert await client.next() == '431["back"]'
    assert lobby.heard == ["back"]
