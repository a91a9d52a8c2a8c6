"""`SyncConnection`, which handlers in threads get instead of a connection."""

from __future__ import annotations

import inspect

from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, SyncConnection
from asgi_realtime.testing import RealtimeTestClient

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if name[0] != "_"}


def test_both_classes_have_the_same_members_and_signatures() -> None:
    assert public(SyncConnection) == public(Connection)
    methods = [name for name in public(Connection) if inspect.iscoroutinefunction(getattr(Connection, name))]
    assert sorted(methods) == ["call", "close", "join", "leave", "send"]
    for name in methods:
        method = getattr(SyncConnection, name)
        assert inspect.signature(method) == inspect.signature(getattr(Connection, name)), name
        assert not inspect.iscoroutinefunction(method) and method.__doc__


async def test_a_plain_handler_joins_from_a_position() -> None:
    gateway = SocketIOGateway("/")

    @gateway.on("follow")
    def follow(position: str, connection: SyncConnection) -> bool:
        connection.join("room", since=position)
        return True

    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)) as client:
        async with client.connect(token=client.token("ann")) as socket:
            position = await client.broadcaster.position("room")
            await client.broadcaster.broadcast_to_room("room", "n", 1)
            assert await socket.call("follow", position) is True
            assert (await socket.expect("n")).data == 1
            assert (await socket.call("follow", "x"))["code"] == "POSITION_LOST"
