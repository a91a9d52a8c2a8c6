"""What is counted and measured of broadcasts."""

from __future__ import annotations

import asyncio

import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import connect as open_websocket

from asgi_realtime import (
    BrokerUnavailable,
    Connection,
    Limits,
    RealtimeMiddleware,
    Settings,
    WebSocketGateway,
    create_token,
)
from asgi_realtime.lifecycle.process_metrics import HeldBytes
from asgi_realtime.metrics.declarations import (
    BROADCAST_BYTES,
    BROADCAST_FRAMES,
    BROADCAST_RECIPIENTS,
    OUTBOX_BYTES,
    PRESENCE_USERS,
    PUBLISH_FAILURES,
    PUBLISH_SECONDS,
)
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.testing import RealtimeTestClient
from tests.support.moved_metrics import moves
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.redis_server import RedisProcess
from tests.support.servers import Serve
from tests.support.waiting import until

SECRET = "a secret of at least thirty-two bytes"


class Ticker(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("all")


@moves(BROADCAST_RECIPIENTS, BROADCAST_FRAMES, BROADCAST_BYTES, PUBLISH_SECONDS, PRESENCE_USERS)
async def test_broadcasts_recipients_frames_and_bytes() -> None:
    metrics = RecordedMetrics()
    app = RealtimeMiddleware(
        Starlette(), gateways=[Ticker("/ticker")], settings=Settings(jwt_secret=SECRET), metrics=metrics
    )
    async with RealtimeTestClient(app) as client:
        async with (
            client.connect("/ticker", token=client.token("ann")) as ann,
            client.connect("/ticker", token=client.token("bob")) as bob,
        ):
            assert metrics.totals["presence_users /ticker"] == 2
            await client.broadcaster.broadcast_to_room("all", "first", "x" * 100)
            await bob.expect("first")
            twice = metrics.totals["broadcast_bytes_total"]
            await client.broadcaster.broadcast_to_room("all", "second", "x" * 100, except_=ann.connection.id)
            await client.broadcaster.broadcast_to_room("empty", "third")
            await ann.expect("first")
            await bob.expect("second")
            counts, total = metrics.observed["broadcast_recipients /ticker"]
            assert counts[:4] == [1, 1, 1, 0]
            assert total == 3
            assert metrics.totals["broadcast_frames_total"] == 3
            first, second = twice, metrics.totals["broadcast_bytes_total"] - twice
            assert first == 2 * (second - len("second") + len("first")) > 200
            counts, seconds = metrics.observed["publish_seconds /ticker"]
            assert sum(counts) == 3
            assert 0 < seconds < 30
        await client.settle()
        assert metrics.totals["presence_users /ticker"] == 0


@moves(OUTBOX_BYTES)
async def test_what_waits_for_slow_clients_and_who_is_cut(serve: Serve) -> None:
    metrics = RecordedMetrics()
    settings = Settings(jwt_secret=SECRET, limits=Limits(outbox_bytes=200_000))
    app = RealtimeMiddleware(Starlette(), gateways=[Ticker("/ticker")], settings=settings, metrics=metrics)
    server = await serve(app)
    token = create_token("ann", settings)
    async with open_websocket(f"ws{server.url[4:]}/ticker?token={token}", max_queue=1) as slow:
        await until(lambda: metrics.totals["connections /ticker"] == 1)
        slow.transport.pause_reading()

        (peer,) = app.realtime.websockets["/ticker"].peers
        while not peer.outbox.size:  # until the buffers of the kernel are full
            await app.broadcaster.broadcast_to_room("all", "news", "x" * 10_000)
            await asyncio.sleep(0)  # a turn of the loop, so that each broadcast is written
        await until(lambda: metrics.totals["outbox_bytes"] == peer.outbox.size > 0)

        async def until_cut() -> bool:
            await app.broadcaster.broadcast_to_room("all", "news", "x" * 100_000)
            return metrics.sum("closed_total") == 1

        await until(until_cut)
        assert metrics.totals["closed_total /ticker too slow 1013"] == 1
        slow.transport.abort()


@moves(PUBLISH_FAILURES)
async def test_a_broadcast_that_fails_is_counted(serve: Serve, redis_process: RedisProcess) -> None:
    metrics = RecordedMetrics()
    settings = Settings(jwt_secret=SECRET, redis_url=redis_process.url, publish_timeout=0.2)
    app = RealtimeMiddleware(Starlette(), gateways=[Ticker("/ticker")], settings=settings, metrics=metrics)
    await serve(app)
    redis_process.freeze()
    try:
        given_up = asyncio.ensure_future(app.broadcaster.broadcast_to_room("all", "news"))
        asyncio.get_running_loop().call_soon(given_up.cancel)  # by its caller: it did not fail
        with pytest.raises(asyncio.CancelledError):
            await given_up
        with pytest.raises(BrokerUnavailable):
            await app.broadcaster.broadcast_to_room("all", "news")
    finally:
        redis_process.thaw()
    assert metrics.totals["publish_failures_total /ticker"] == 1


def test_the_sum_of_all_outboxes_takes_a_small_share_of_the_time() -> None:
    now = 0.0
    sums = 0

    def outboxes() -> list[Outbox]:
        nonlocal now, sums
        now += 0.002
        sums += 1
        return [outbox]

    class Owner:
        def overflowed(self) -> None: ...

    outbox = Outbox(1_000, Owner())
    held = HeldBytes(outboxes, lambda: now)
    assert held.read() == 0
    outbox.push(Frame("x" * 100))
    assert (held.read(), sums) == (0, 1)
    now += 1.9
    assert (held.read(), sums) == (0, 1)
    now += 0.2
    assert (held.read(), sums) == (100, 2)
