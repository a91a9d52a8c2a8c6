"""A client that returns to another process directly after the answer to its CONNECT recovers there."""

from __future__ import annotations

import asyncio
import json
import secrets

import msgspec
import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import raw_client
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until

SECRET = "a secret for tests that is long enough"
DELAY = 0.3
"""Seconds. A client is at the other process earlier than a command of the first one is at Redis."""

END = msgspec.msgpack.encode("end")
"""The type of the message that asks another process to end a connection."""


class Held(SocketIOGateway):
    """From `on_connect` on, its process does not read what Redis sends."""

    def __init__(self, proxy: RedisProxy) -> None:
        super().__init__("/")
        self._proxy = proxy

    async def on_connect(self, connection: Connection) -> None:
        self._proxy.hold()


class Slow(SocketIOGateway):
    """From `on_connect` on, Redis is far away from this process."""

    def __init__(self, proxy: RedisProxy | None = None) -> None:
        super().__init__("/")
        self._proxy = proxy

    async def on_connect(self, connection: Connection) -> None:
        if self._proxy is not None:
            self._proxy.delay = DELAY


def app(gateway: SocketIOGateway, redis_url: str, prefix: str) -> RealtimeMiddleware:
    settings = Settings(jwt_secret=SECRET, redis_url=redis_url, redis_prefix=prefix, publish_timeout=10.0)
    return RealtimeMiddleware(Starlette(), gateways=[gateway], settings=settings)


async def connect_and_vanish(server: LiveServer, pid: Json) -> Json:
    """Connect a client, and lose its connection when the answer has come. Returns the id of its session."""
    auth = {"token": create_token("ann", settings=Settings(jwt_secret=SECRET)), "recovery": True}
    async with raw_client(server, "websocket") as client:
        answer = await client.connect(auth if pid is None else auth | {"pid": pid})
        client.vanish()
    assert answer.startswith("40"), answer
    return json.loads(answer[2:])["pid"]


@pytest.mark.parametrize("recovers", [False, True], ids=["new session", "recovered session"])
async def test_another_process_has_the_session_when_the_client_has_its_id(
    serve: Serve, redis_process: RedisProcess, recovers: bool
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    async with redis_proxy(redis_process.socket) as proxy:
        slow = await serve(app(Slow(proxy), proxy.url, prefix))
        other = await serve(app(Slow(), redis_process.url, prefix))
        pid = await connect_and_vanish(other, None) if recovers else None
        pid = await connect_and_vanish(slow, pid)
        assert await connect_and_vanish(other, pid) == pid
        proxy.delay = 0.0


async def test_a_client_that_is_not_answered_yet_recovers_in_another_process(
    serve: Serve, redis_process: RedisProcess
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    auth = {"token": create_token("ann", settings=Settings(jwt_secret=SECRET)), "recovery": True}
    async with redis_proxy(redis_process.socket) as proxy:
        first = app(Held(proxy), proxy.url, prefix)
        first_server, other_server = await serve(first), await serve(app(Slow(), redis_process.url, prefix))
        auth["pid"] = pid = await connect_and_vanish(other_server, None)
        async with raw_client(first_server, "websocket") as left, raw_client(other_server, "websocket") as returned:
            connecting = asyncio.ensure_future(left.connect(auth))
            await until(lambda: _waits_for_its_session(first, proxy))
            returning = asyncio.ensure_future(returned.connect(auth))
            await proxy.until_held(END)
            proxy.release()  # the first process reads together that its session is written, and that it is to end it
            assert json.loads((await connecting).removeprefix("44"))["message"] == "connect again"
            assert json.loads((await returning).removeprefix("40"))["pid"] == pid


def _waits_for_its_session(first: RealtimeMiddleware, proxy: RedisProxy) -> bool:
    """Whether a client of the process waits for its answer. What Redis answered before that is passed on."""
    connections = first.realtime.hub.rooms(GatewayName("/")).everybody
    if any([each.positions is not None and each.positions.connection_id is not None for each in connections]):
        return bool(proxy.held)
    if proxy.held:
        proxy.release()
        proxy.hold()
    return False
