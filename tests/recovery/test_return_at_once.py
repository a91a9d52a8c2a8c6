"""A client that returns to another process directly after the answer to its CONNECT recovers there."""

from __future__ import annotations

import json
import secrets

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import raw_client
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve

SECRET = "a secret for tests that is long enough"
DELAY = 0.3
"""Seconds. A client is at the other process earlier than a command of the first one is at Redis."""


class Slow(SocketIOGateway):
    """From `on_connect` on, Redis is far away from this process."""

    def __init__(self, proxy: RedisProxy | None = None) -> None:
        super().__init__("/")
        self._proxy = proxy

    async def on_connect(self, connection: Connection) -> None:
        if self._proxy is not None:
            self._proxy.delay = DELAY


def app(gateway: Slow, redis_url: str, prefix: str) -> RealtimeMiddleware:
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
