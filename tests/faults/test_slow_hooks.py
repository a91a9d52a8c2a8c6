"""Connect or disconnect hooks that hang or raise affect one client only, and leave nothing behind."""

from __future__ import annotations

import asyncio
import logging

import pytest

from asgi_realtime import Connection, Limits, SocketIOGateway
from tests.support.attackers import enter, entered, still_answers
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client, receive_json
from tests.support.servers import LiveServer, Serve
from tests.support.target_app import PATIENCE, Target, by_name


class HookGateway(SocketIOGateway):
    """The hooks wait for clients named `slow` until the test continues, and raise for clients named `raises`."""

    def __init__(self) -> None:
        super().__init__("/hooks", authenticator=by_name)
        self.waiting = asyncio.Event()
        self.resume = asyncio.Event()
        self.left: list[str] = []

    async def _hook(self, connection: Connection) -> None:
        if connection.identity.user_id == "slow":
            self.waiting.set()
            await self.resume.wait()
        elif connection.identity.user_id == "raises":
            raise RuntimeError("a bug of the host")

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("everybody")
        await connection.send("welcome")
        await self._hook(connection)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        await self._hook(connection)
        self.left.append(connection.identity.user_id)


class LateGateway(HookGateway):
    """Accepts all clients, and fails or hangs when they disconnect."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("everybody")


@pytest.fixture
def hooks() -> HookGateway:
    return HookGateway()


@pytest.fixture
def target(hooks: HookGateway) -> Target:
    return Target(hooks)


@pytest.fixture
async def server(target: Target, serve: Serve) -> LiveServer:
    return await serve(target.app)


async def until(event: asyncio.Event) -> None:
    async with asyncio.timeout(PATIENCE):
        await event.wait()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_slow_connect_delays_no_other_client_and_no_broadcast_precedes_its_end(
    server: LiveServer, target: Target, hooks: HookGateway, transport: TransportName
) -> None:
    broadcaster = target.realtime.broadcaster.of("/hooks")
    async with raw_client(server, transport) as slow, entered(server, "quick") as quick:
        await slow.send('0/hooks,{"name":"slow"}')
        await until(hooks.waiting)
        await quick.send('0/hooks,{"name":"quick"}')
        await receive_json(quick, "0/hooks,")
        assert await quick.receive() == '2/hooks,["welcome"]'
        await broadcaster.broadcast_to_room("everybody", "news", 1)
        await broadcaster.broadcast_to_user("slow", "for you", 2)
        assert await quick.receive() == '2/hooks,["news",1]'
        # The other namespaces of the same transport are still served.
        await enter(slow, {"name": "slow"})
        await still_answers(slow)
        hooks.resume.set()
        await receive_json(slow, "0/hooks,")
        packets = [await slow.receive() for _ in range(3)]
        assert packets == ['2/hooks,["welcome"]', '2/hooks,["news",1]', '2/hooks,["for you",2]']
    if transport == "websocket":  # the server notices later that a polling client has gone between two polls
        await target.emptied()


async def test_a_client_that_leaves_during_a_slow_connect_is_never_a_member(
    server: LiveServer, target: Target, hooks: HookGateway
) -> None:
    async with raw_client(server, "websocket") as slow:
        await slow.send('0/hooks,{"name":"slow"}')
        await until(hooks.waiting)
    await target.emptied()
    assert hooks.left == []


async def test_a_client_removed_during_a_slow_connect_is_never_admitted(
    server: LiveServer, target: Target, hooks: HookGateway
) -> None:
    async with raw_client(server, "websocket") as slow:
        await slow.send('0/hooks,{"name":"slow"}')
        await until(hooks.waiting)
        await target.realtime.broadcaster.disconnect_user("slow")
        hooks.resume.set()
        assert str(await slow.receive()).startswith("4/hooks,")
        assert (await target.settled())["connections"] == 0
    await target.emptied()
    assert hooks.left == []


async def test_a_connect_hook_that_raises_refuses_the_client_and_is_logged_once(
    server: LiveServer, target: Target, hooks: HookGateway, caplog: pytest.LogCaptureFixture
) -> None:
    async with entered(server, "raises") as client:
        await client.send('0/hooks,{"name":"raises"}')
        assert await receive_json(client, "4/hooks,") == {"message": "internal error", "data": {"code": "INTERNAL"}}
        await still_answers(client)
        assert (await target.settled())["connections"] == 1
    await target.emptied()
    assert hooks.left == []
    assert len([record for record in caplog.records if record.levelno >= logging.WARNING and record.exc_info]) == 1


async def test_a_connect_hook_that_hangs_is_cancelled(serve: Serve) -> None:
    hooks = HookGateway()
    target = Target(hooks, limits=Limits(handler_timeout=0.1))
    server = await serve(target.app)
    async with entered(server, "another") as client:
        await client.send('0/hooks,{"name":"slow"}')
        assert (await receive_json(client, "4/hooks,"))["data"] == {"code": "INTERNAL"}
        await still_answers(client)
    await target.emptied()


@pytest.mark.parametrize("name", ["slow", "raises"])
async def test_a_disconnect_hook_that_hangs_or_raises_keeps_no_member_in_a_room(
    serve: Serve, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    hooks = LateGateway()
    target = Target(hooks)
    server = await serve(target.app)
    async with entered(server, "another") as another:
        async with raw_client(server, "websocket") as client:
            await client.send(f'0/hooks,{{"name":"{name}"}}')
            await receive_json(client, "0/hooks,")
            await client.send("1/hooks,")
            if name == "slow":
                await until(hooks.waiting)
            await enter(client, {"name": name})  # answered after the DISCONNECT was handled
            assert len(target.realtime.hub.rooms(hooks.name)) == 0
            assert await target.realtime.broadcaster.of("/hooks").online_users() == set()
            await still_answers(another)
        hooks.resume.set()
    await target.emptied()
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(errors) == (name == "raises")
