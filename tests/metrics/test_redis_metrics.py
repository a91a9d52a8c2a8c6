"""What is counted of Redis: messages that are late or missing, connections that are lost, what waits."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed

from asgi_realtime import Connection, RealtimeMiddleware, Settings, WebSocketGateway, create_token
from asgi_realtime.metrics.declarations import (
    BROKER_COMMANDS_LOST,
    BROKER_GAPS,
    BROKER_LAG_SECONDS,
    BROKER_REPAIRED,
    BROKER_RESYNCS,
    OUTAGE_QUEUE,
    REDIS_PROBE_FAILURES,
    REDIS_RECONNECTS,
    REFUSED_CONNECTIONS,
    SUBSCRIPTION_FAILURES,
    SUBSCRIPTIONS,
)
from asgi_realtime.redis.keys import COMMANDS, Keys
from asgi_realtime.values.ids import GatewayName
from tests.support.moved_metrics import moves
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.servers import Serve
from tests.support.waiting import until

PATH = "/ticker"
MESSAGE = rb"[*>]3\r\n\$\d+\r\ns?message\r\n\$\d+\r\n[^\r]*\r\n\$\d+\r\n[^\r]*%s[^\r]*\r\n"
"""One published message with a text, as Redis sends it to a subscriber."""


class Ticker(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("all")


class Pair:
    """A process behind a proxy to Redis, whose metrics are read, and another that is connected directly."""

    def __init__(self, redis: RedisProcess, proxy: RedisProxy, settings: Settings) -> None:
        self.redis = redis
        self.proxy = proxy
        self.settings = replace(
            settings,
            jwt_secret="a secret of at least thirty-two bytes",
            redis_prefix=f"test-{secrets.token_hex(4)}",
            history_size=10,
            presence_grace=0,
        )
        self.metrics = RecordedMetrics()
        self.far = self._app(proxy.url, self.metrics)
        self.near = self._app(redis.url, None)
        self.address = ""

    def _app(self, url: str, metrics: RecordedMetrics | None) -> RealtimeMiddleware:
        settings = replace(self.settings, redis_url=url)
        return RealtimeMiddleware(Starlette(), gateways=[Ticker(PATH)], settings=settings, metrics=metrics)

    def counted(self, *names: str) -> dict[str, float]:
        """These metrics, without those that are zero. A name stands for all that begin with it."""
        return {name: total for name, total in self.metrics.totals.items() if total and name.startswith(names)}

    @asynccontextmanager
    async def client(self, user_id: str = "ann") -> AsyncIterator[ClientConnection]:
        """A client of the first process."""
        token = create_token(user_id, self.settings)
        async with open_websocket(f"{self.address}{PATH}?token={token}") as client:
            assert "auth_success" in str(await client.recv())
            yield client

    async def publish(self, *names: str) -> None:
        """Broadcast at the other process."""
        for name in names:
            await self.near.broadcaster.broadcast_to_room("all", name)

    async def cut_off(self) -> None:
        """Cut the first process off, until `proxy.refusing` is False again."""
        self.proxy.refusing = True
        self.proxy.cut()
        await until(lambda: not self.far.broadcaster.ready)

    def remove(self, *keys: str) -> None:
        with self.redis.client() as client:
            assert client.delete(*keys)


async def expect(client: ClientConnection, *names: str) -> None:
    """Receive events with these names, and no others."""
    for name in names:
        assert f'"{name}"' in str(await client.recv())


@asynccontextmanager
async def running(
    serve: Serve, redis: RedisProcess, settings: Settings | None = None, *, lose: bytes = b""
) -> AsyncIterator[Pair]:
    """Two processes. `lose`: the first message with this text does not arrive at the first one."""
    left = 1 if lose else 0

    def rewrite(data: bytes) -> bytes:
        nonlocal left
        if left:
            data, lost = re.subn(MESSAGE % re.escape(lose), b"", data, count=1)
            left -= lost
        return data

    async with redis_proxy(redis.socket, rewrite=rewrite) as proxy:
        pair = Pair(redis, proxy, settings or Settings(publish_timeout=10.0))
        servers = [await serve(pair.far), await serve(pair.near)]
        pair.address = servers[0].websocket_url
        await until(lambda: pair.far.broadcaster.ready and pair.near.broadcaster.ready)
        assert pair.counted("broker", "redis") == {}
        yield pair
        for server in servers:
            await server.stop()


@moves(BROKER_LAG_SECONDS, SUBSCRIPTIONS)
async def test_the_time_from_redis_to_a_process(serve: Serve, redis_process: RedisProcess) -> None:
    async with running(serve, redis_process) as pair:
        assert pair.metrics.totals["subscriptions"] == 0
        async with pair.client() as client:
            assert pair.metrics.totals["subscriptions"] == 3
            pair.proxy.delay = 0.3
            await pair.publish("late")
            await expect(client, "late")
            counts, seconds = pair.metrics.observed[f"broker_lag_seconds {PATH}"]
            assert sum(counts) == 1
            assert 0.29 < seconds < 20
            pair.proxy.delay = 0


@moves(BROKER_GAPS, BROKER_REPAIRED)
async def test_a_message_that_is_missing_is_a_gap_and_is_repaired(serve: Serve, redis_process: RedisProcess) -> None:
    async with running(serve, redis_process, lose=b"second") as pair, pair.client() as client:
        await pair.publish("first", "second", "third")
        await expect(client, "first", "second", "third")
        await until(lambda: pair.far.broadcaster.ready)
        assert pair.counted("broker", "redis") == {f"broker_gaps_total {PATH}": 1, f"broker_repaired_total {PATH}": 2}


@moves(BROKER_RESYNCS, REDIS_RECONNECTS)
async def test_more_is_missed_than_history_has(serve: Serve, redis_process: RedisProcess) -> None:
    async with running(serve, redis_process) as pair, pair.client() as client:
        await pair.cut_off()
        await pair.publish(*[f"missed {number}" for number in range(11)])
        before = pair.metrics.totals["redis_reconnects_total"]
        assert before >= 1
        pair.proxy.refusing = False
        await expect(client, "realtime:resync")
        assert pair.counted("broker") == {f"broker_resyncs_total {PATH}": 1}


@moves(BROKER_COMMANDS_LOST)
async def test_commands_are_missed_and_history_does_not_have_them(serve: Serve, redis_process: RedisProcess) -> None:
    async with running(serve, redis_process) as pair, pair.client() as client:
        await pair.cut_off()
        await pair.near.broadcaster.close_room("all")
        keys = Keys(pair.settings.redis_prefix, GatewayName(PATH))
        pair.remove(keys.history(COMMANDS), keys.last(COMMANDS))
        pair.proxy.refusing = False
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert pair.counted("broker_commands_lost_total") == {f"broker_commands_lost_total {PATH}": 1}
        assert pair.counted("closed_total") == {f"closed_total {PATH} forced close 1012": 1}


@moves(REDIS_PROBE_FAILURES)
async def test_a_connection_on_which_nothing_comes_is_replaced(
    serve: Serve, redis_process: RedisProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.redis.reconnecting_link.PROBE_AFTER", 0.2)
    monkeypatch.setattr("asgi_realtime.redis.reconnecting_link.PROBE_TIMEOUT", 0.2)
    async with running(serve, redis_process) as pair:
        pair.proxy.hold()
        await until(lambda: pair.metrics.totals["redis_probe_failures_total"] >= 1)
        pair.proxy.cut()
        await until(lambda: pair.far.broadcaster.ready)


@moves(SUBSCRIPTION_FAILURES, REFUSED_CONNECTIONS)
async def test_a_client_whose_rooms_are_not_subscribed_to_in_time(serve: Serve, redis_process: RedisProcess) -> None:
    async with running(serve, redis_process, Settings(publish_timeout=0.3)) as pair:
        assert pair.counted("subscription_failures_total", "refused_connections_total") == {}
        pair.proxy.hold()
        token = create_token("ann", pair.settings)
        async with open_websocket(f"{pair.address}{PATH}?token={token}") as client:
            with pytest.raises(ConnectionClosed):
                while True:
                    await client.recv()
        assert pair.metrics.totals["subscription_failures_total"] == 2  # of the user, and of all
        assert pair.counted("refused_connections_total") == {f"refused_connections_total {PATH} UNAVAILABLE": 1}
        pair.proxy.cut()


@moves(OUTAGE_QUEUE)
async def test_broadcasts_wait_until_redis_is_back(serve: Serve, redis_process: RedisProcess) -> None:
    async with running(serve, redis_process, Settings(on_broker_down="local")) as pair, pair.client() as client:
        assert pair.metrics.totals["outage_queue"] == 0
        await pair.cut_off()
        for number in range(3):
            await pair.far.broadcaster.broadcast_to_room("all", f"local {number}")
        await expect(client, "local 0", "local 1", "local 2")
        assert pair.metrics.totals["outage_queue"] == 3
        pair.proxy.refusing = False
        await until(lambda: pair.metrics.totals["outage_queue"] == 0)
