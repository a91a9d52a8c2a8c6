"""Clients whose connection breaks again while their recovery session is claimed in Redis."""

from __future__ import annotations

import json
import secrets

from starlette.applications import Starlette

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway, create_token
from asgi_realtime.recovery.session import SessionId
from asgi_realtime.redis.keys import Keys
from asgi_realtime.values.ids import GatewayName
from tests.support.raw_engineio import RawWebSocketClient, raw_client
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.servers import Serve
from tests.support.waiting import until

ROOT = GatewayName("/")


async def test_a_client_that_is_lost_while_its_session_is_claimed_may_claim_it_again(
    serve: Serve, redis_process: RedisProcess
) -> None:
    prefix = f"test-{secrets.token_hex(4)}"
    async with redis_proxy(redis_process.socket) as proxy:
        settings = Settings(
            jwt_secret="a secret for tests that is long enough",
            redis_url=proxy.url,
            redis_prefix=prefix,
            publish_timeout=10.0,
            presence_grace=0.0,
        )
        app = RealtimeMiddleware(Starlette(), gateways=[SocketIOGateway()], settings=settings)
        server = await serve(app)
        auth = {"token": create_token("ann", settings=settings), "recovery": True}
        async with raw_client(server, "websocket") as client:
            answer = json.loads((await client.connect(auth))[2:])
        returning = "0" + json.dumps(auth | {"pid": answer["pid"]})
        key = Keys(prefix, ROOT).session(SessionId.of(ROOT, answer["pid"]).digest)
        with redis_process.client() as redis:
            await until(lambda: redis.hget(key, "open") == b"0")
            await app.broadcaster.broadcast_to_user("ann", "n", 1)

            async with raw_client(server, "websocket") as client:
                assert isinstance(client, RawWebSocketClient)
                proxy.delay = 0.1
                await client.send(returning)
                await until(lambda: redis.hget(key, "data") == b"")  # it is claimed, and history is not read yet
                client.vanish()
            proxy.delay = 0.0
            await until(lambda: redis.hget(key, "data") != b"", seconds=10.0)
        async with raw_client(server, "websocket") as client:
            await client.send(returning)
            assert json.loads((await client.next())[2:])[:2] == ["n", 1]
            assert json.loads((await client.next())[2:])["sid"] == answer["sid"]
        await server.stop()  # before the proxy
