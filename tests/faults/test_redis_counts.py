"""Outages of Redis are counted, so that an operator sees what was repaired without a look at the log."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator

import pytest

from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.metrics import Meter
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.publications import Publication
from tests.faults.test_redis_broker import LOBBY, Recorder, event, to
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until


class Fatal(BaseException):
    """An error that is not an `Exception`."""


class FailsOnce(Recorder):
    """Fails with a `BaseException` when it receives `bad`."""

    def deliver(self, publication: Publication) -> int:
        super().deliver(publication)
        if publication.event == "bad":
            raise Fatal
        return 1


class Pair:
    """A broker behind a proxy, whose outages are counted, and one that publishes."""

    def __init__(self, server: RedisProcess, proxy: RedisProxy) -> None:
        self.server = server
        self.proxy = proxy
        self._metrics = RecordedMetrics()
        self.seen = FailsOnce()
        prefix = f"test-{secrets.token_hex(4)}"
        self.far = RedisBroker(RedisServer(proxy.url), prefix=prefix, meter=Meter(self._metrics))
        self.near = RedisBroker(RedisServer(server.url), prefix=prefix, timeout=10.0)

    async def start(self) -> None:
        await self.far.start(self.seen)
        await self.near.start(Recorder())
        await self.far.subscribe(to(LOBBY))

    async def publish(self, *names: str) -> None:
        for name in names:
            await self.near.publish(event(name))

    @property
    def counts(self) -> dict[str, float]:
        """What was counted, without what is zero."""
        return {name: total for name, total in self._metrics.totals.items() if total}

    async def stop(self) -> None:
        await self.far.stop()
        await self.near.stop()


@pytest.fixture
async def pair(redis_process: RedisProcess) -> AsyncIterator[Pair]:
    async with redis_proxy(redis_process.socket) as proxy:
        running = Pair(redis_process, proxy)
        await running.start()
        yield running
        await running.stop()


async def test_what_was_missed_is_repaired_and_counted(pair: Pair) -> None:
    await pair.publish("before")
    await until(lambda: pair.seen.seen == ["before"])
    pair.proxy.hold()
    await pair.publish("1", "2", "3")
    await pair.proxy.until_held(b"3")
    pair.proxy.cut()
    await until(lambda: pair.seen.seen == ["before", "1", "2", "3"])
    await until(lambda: pair.far.ready)
    assert pair.counts == {"redis_reconnects_total": 1, "broker_repaired_total /": 3}


async def test_a_killed_subscription_is_repaired_and_counted(pair: Pair) -> None:
    publishing = asyncio.create_task(pair.publish(*map(str, range(200))))
    await until(lambda: len(pair.seen.seen) > 20)
    with pair.server.client() as client:
        client.execute_command("CLIENT", "KILL", "SKIPME", "YES", "TYPE", "pubsub")
    await publishing
    await until(lambda: len(pair.seen.seen) >= 200)
    assert pair.seen.seen == [str(number) for number in range(200)]
    assert pair.seen.resyncs == []
    assert pair.counts["redis_reconnects_total"] == 1


async def test_a_reader_that_dies_is_replaced_and_counted(pair: Pair) -> None:
    await pair.publish("before", "bad", "after")
    await until(lambda: pair.seen.seen == ["before", "bad", "after"] and pair.far.ready)
    assert pair.counts["redis_reconnects_total"] == 1


async def test_a_frozen_redis_is_noticed_by_the_probe_and_comes_back(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.redis.reconnecting_link.PROBE_AFTER", 0.2)
    monkeypatch.setattr("asgi_realtime.redis.reconnecting_link.PROBE_TIMEOUT", 0.2)
    pair.proxy.cut()  # the next connection has these limits
    await until(lambda: pair.far.ready and pair.proxy.connections == 2)
    pair.server.freeze()
    try:
        await until(lambda: not pair.far.ready)
    finally:
        pair.server.thaw()
    await until(lambda: pair.far.ready)
    assert pair.counts["redis_probe_failures_total"] >= 1
    await pair.publish("after")
    await until(lambda: pair.seen.seen == ["after"])
