"""Clients whose connection, or whose process' connection to Redis, breaks while their recovery session is claimed."""

from __future__ import annotations

import contextlib
import json
import secrets
from collections.abc import AsyncIterator, Callable
from typing import TypeAlias

import pytest
from starlette.applications import Starlette

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.recovery.session import SessionId
from asgi_realtime.redis.keys import Keys
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import RawWebSocketClient, SessionClosed, raw_client
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until

ROOT = GatewayName("/")
State: TypeAlias = Callable[[], bytes | None]
"""What Redis has as state of the session: `0` lost, empty while it is claimed."""


class Site:
    """An app whose Redis is behind a proxy, with a client that has lost its connection and missed an event."""

    def __init__(self, proxy: RedisProxy, server: LiveServer, auth: dict[str, Json], sid: str) -> None:
        self.proxy = proxy
        self.server = server
        self.sid = sid
        self.returning = "0" + json.dumps(auth)

    async def expect_recovery(self) -> None:
        async with raw_client(self.server, "websocket") as client:
            await client.send(self.returning)
            assert json.loads((await client.next())[2:])[:2] == ["n", 1]
            assert json.loads((await client.next())[2:])["sid"] == self.sid


@contextlib.asynccontextmanager
async def running(serve: Serve, redis_process: RedisProcess, timeout: float) -> AsyncIterator[tuple[Site, State]]:
    prefix = f"test-{secrets.token_hex(4)}"
    async with redis_proxy(redis_process.socket) as proxy:
        settings = Settings(
            jwt_secret="a secret for tests that is long enough",
            redis_url=proxy.url,
            redis_prefix=prefix,
            publish_timeout=timeout,
            presence_grace=0.0,
        )
        app = RealtimeMiddleware(Starlette(), gateways=[SocketIOGateway()], settings=settings)
        server = await serve(app)
        auth = {"token": create_token("ann", settings=settings), "recovery": True}
        async with raw_client(server, "websocket") as client:
            answer = json.loads((await client.connect(auth))[2:])
        key = Keys(prefix, ROOT).session(SessionId.of(ROOT, answer["pid"]).digest)
        with redis_process.client() as redis:
            state: State = lambda: redis.hget(key, "open")  # noqa: E731
            await until(lambda: state() == b"0")
            await app.broadcaster.broadcast_to_user("ann", "n", 1)
            yield Site(proxy, server, auth | {"pid": answer["pid"]}, answer["sid"]), state
        await server.stop()  # before the proxy


async def test_a_client_that_is_lost_while_its_session_is_claimed_may_claim_it_again(
    serve: Serve, redis_process: RedisProcess
) -> None:
    async with running(serve, redis_process, 10.0) as (site, state):
        async with raw_client(site.server, "websocket") as client:
            assert isinstance(client, RawWebSocketClient)
            site.proxy.delay = 0.1
            await client.send(site.returning)
            await until(lambda: state() == b"")  # it is claimed, and history is not read yet
            client.vanish()
        site.proxy.delay = 0.0
        await until(lambda: state() == b"0")
        await site.expect_recovery()


async def test_a_session_that_was_claimed_when_redis_stopped_answering_may_be_claimed_again(
    serve: Serve, redis_process: RedisProcess
) -> None:
    async with running(serve, redis_process, 0.5) as (site, state):
        async with raw_client(site.server, "websocket") as client:
            site.proxy.delay = 0.05
            await client.send(site.returning)
            await until(lambda: state() == b"")
            site.proxy.dropping = True
            with pytest.raises(SessionClosed):  # so the client tries again
                await client.next()
        site.proxy.dropping = False
        site.proxy.delay = 0.0
        site.proxy.cut()
        await until(lambda: state() == b"0")
        await site.expect_recovery()
