"""What is counted of requests that belong to the sessions of another process."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import connect as open_websocket

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.metrics.declarations import RELAYED_REQUESTS, RELAYS, RELAYS_LOST
from tests.support.moved_metrics import moves
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.redis_server import RedisProcess
from tests.support.roaming_client import RoamingClient
from tests.support.servers import Serve
from tests.support.waiting import until

SECRET = "a secret for tests that is long enough"


class Relaying:
    """A client with a session at one process, whose requests go to another one, and the metrics of that one."""

    def __init__(self, client: RoamingClient, metrics: RecordedMetrics) -> None:
        self.client = client
        self.metrics = metrics

    def counted(self) -> dict[str, float]:
        """What was counted of relays, without what is zero."""
        return {name: total for name, total in self.metrics.totals.items() if name.startswith("relay") and total}


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


async def begin(serve: Serve, redis: RedisProcess, http: httpx.AsyncClient) -> Relaying:
    prefix, urls = f"test-{secrets.token_hex(4)}", []
    for _ in range(2):
        metrics = RecordedMetrics()
        settings = Settings(jwt_secret=SECRET, redis_url=redis.url, redis_prefix=prefix, publish_timeout=10.0)
        app = RealtimeMiddleware(Starlette(), gateways=[SocketIOGateway()], settings=settings, metrics=metrics)
        server = await serve(app)
        await app.broadcaster.broadcast_to_user("no user", "ready")  # waits for the connection to Redis
        urls.append(server.url)
    relaying = Relaying(RoamingClient(http, urls[:1]), metrics)
    await relaying.client.connect("ann", SECRET)
    relaying.client.urls.append(urls[1])
    assert relaying.counted() == {}
    return relaying


@moves(RELAYED_REQUESTS, RELAYS)
async def test_relayed_requests_are_counted(serve: Serve, redis_process: RedisProcess, http: httpx.AsyncClient) -> None:
    relaying = await begin(serve, redis_process, http)
    client = relaying.client
    assert (await client.post("3", at=1)).status_code == 200
    await until(lambda: relaying.counted() == {"relayed_requests_total polling": 1})
    async with open_websocket(client.url("websocket", at=1).replace("http", "ws", 1), ping_interval=None) as websocket:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        assert relaying.counted() == {
            "relayed_requests_total polling": 1,
            "relayed_requests_total websocket": 1,
            "relays": 1,
        }
        await websocket.send("5")
    await until(lambda: "relays" not in relaying.counted())
    assert "relays_lost_total" not in relaying.counted()


@moves(RELAYS_LOST)
async def test_relays_that_are_lost_are_counted(
    serve: Serve, redis_process: RedisProcess, http: httpx.AsyncClient
) -> None:
    relaying = await begin(serve, redis_process, http)
    polling = asyncio.create_task(relaying.client.get(at=1))
    await until(lambda: relaying.metrics.totals["relays"] == 1)
    redis_process.kill_connections()
    assert (await polling).status_code == 400
    assert relaying.counted() == {"relayed_requests_total polling": 1, "relays_lost_total": 1}
