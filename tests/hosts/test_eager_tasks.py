"""A host that sets `asyncio.eager_task_factory`, so that a task runs its first step within the call that makes it."""

from __future__ import annotations

import asyncio
import json
import secrets
import sys
from collections.abc import Mapping
from typing import get_args

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Broadcaster,
    Connection,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    create_token,
    on,
)
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.testing.wire import Transport
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import RawClient, TransportName, raw_client
from tests.support.redis_server import RedisProcess
from tests.support.servers import Implementation, Serve
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.eager_task_factory is new in Python 3.12")

SECRET = "a secret for tests that is long enough"


def begin_tasks_at_once() -> None:
    """Set the task factory of the running event loop, as a host does."""
    if sys.version_info >= (3, 12):
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)


class Board(SocketIOGateway):
    """Every client is in the lobby, and may write to it."""

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        return {"lobby": None}

    async def on_connect(self, connection: Connection) -> None:
        await self.enter_rooms(connection)
        await connection.send("ready")

    @on("say")
    async def say(self, text: str, broadcaster: Broadcaster) -> bool:
        """Write to the lobby."""
        await broadcaster.broadcast_to_room("lobby", "said", text)
        return True

    @on("say in a thread")
    def say_in_a_thread(self, text: str, broadcaster: SyncBroadcaster) -> bool:
        """Write to the lobby from a worker thread."""
        broadcaster.broadcast_to_room("lobby", "said", text)
        return True


def make_app(**more: str) -> RealtimeMiddleware:
    settings = Settings(jwt_secret=SECRET, presence_grace=0.0, publish_timeout=10.0, **more)  # type: ignore[arg-type]
    return RealtimeMiddleware(Starlette(), gateways=[Board("/")], settings=settings)


def auth(user_id: str, **more: Json) -> dict[str, Json]:
    return {"token": create_token(user_id, settings=Settings(jwt_secret=SECRET)), "recovery": True, **more}


async def said(client: RawClient) -> tuple[Json, Json]:
    """The next text in the lobby, and its position."""
    while not (packet := await client.next()).startswith('42["said"'):
        pass
    event = json.loads(packet[2:])
    return event[1], event[2]


@pytest.mark.parametrize(
    ("implementation", "transport"),
    [*[(implementation, "websocket") for implementation in get_args(Implementation)], ("uvicorn", "polling")],
)
@pytest.mark.parametrize("shared", [False, True], ids=["memory", "Redis"])
async def test_clients_enter_rooms_send_and_recover(
    implementation: Implementation, transport: TransportName, shared: bool, serve: Serve, redis_process: RedisProcess
) -> None:
    begin_tasks_at_once()
    redis = {"redis_url": redis_process.url, "redis_prefix": f"test-{secrets.token_hex(4)}"}
    apps = [make_app(**redis), make_app(**redis)] if shared else [make_app()]
    servers = [await serve(app, implementation) for app in apps]
    async with raw_client(servers[-1], transport) as bob:
        await bob.connect(auth("bob"))
        async with raw_client(servers[0], transport) as ann:
            known = json.loads((await ann.connect(auth("ann"))).removeprefix("40"))
            for event in ("say", "say in a thread"):
                await ann.emit(event, event, ack="1")
                assert (await said(bob))[0] == event
            while (await said(ann))[0] != "say in a thread":
                pass
            await bob.emit("say", "the last")
            text, position = await said(ann)
            assert text == "the last"
        await until(lambda: len(apps[0].realtime.hub.rooms(GatewayName("/"))) == (0 if shared else 1))
        for text in "abc":
            await bob.emit("say", text)
        assert [(await said(bob))[0] for _ in range(4)] == ["the last", *"abc"]
        async with raw_client(servers[-1], transport) as ann:
            await ann.send("0" + json.dumps(auth("ann", pid=known["pid"], offset=position)))
            packets = [await ann.next() for _ in range(4)]
            assert [json.loads(packet[2:])[1] for packet in packets[:3]] == [*"abc"]
            assert json.loads(packets[3].removeprefix("40")) == known


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_clients_of_a_test_work(transport: Transport) -> None:
    begin_tasks_at_once()
    async with (
        RealtimeTestClient(make_app()) as client,
        client.connect(token=client.token("ann"), transport=transport) as ann,
        client.connect(token=client.token("bob"), transport=transport) as bob,
    ):
        for event in ("say", "say in a thread"):
            assert await ann.call(event, event) is True
            assert (await bob.expect("said")).data == event
        assert ann.rooms == {"lobby"}
