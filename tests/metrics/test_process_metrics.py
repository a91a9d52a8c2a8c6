"""What is measured of a process as a whole."""

from __future__ import annotations

import asyncio
import time

from starlette.applications import Starlette

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway, on
from asgi_realtime.metrics.declarations import DRAIN_TIMEOUTS, LOOP_LAG_SECONDS, TASKS
from asgi_realtime.testing import RealtimeTestClient
from tests.support.moved_metrics import moves
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.waiting import until


class Waiting(SocketIOGateway):
    """Has a handler that waits."""

    def __init__(self) -> None:
        super().__init__("/")
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.ended = asyncio.Event()

    @on("wait")
    async def wait(self) -> None:
        self.begun.set()
        try:
            await self.go_on.wait()
        finally:
            self.ended.set()


class App:
    def __init__(self, drain_timeout: float = 5.0) -> None:
        self.gateway = Waiting()
        self.metrics = RecordedMetrics()
        settings = Settings(
            jwt_secret="a secret of at least thirty-two bytes", presence_grace=0, drain_timeout=drain_timeout
        )
        self.app = RealtimeMiddleware(Starlette(), gateways=[self.gateway], settings=settings, metrics=self.metrics)


@moves(LOOP_LAG_SECONDS)
async def test_the_lag_of_the_loop_is_measured() -> None:
    app = App()
    async with RealtimeTestClient(app.app):
        time.sleep(1.2)  # noqa: ASYNC251 - what is measured: the loop is blocked until after the timer of 1 s is due
        await until(lambda: sum(app.metrics.observed["loop_lag_seconds"][0]))
        counts, seconds = app.metrics.observed["loop_lag_seconds"]
        assert sum(counts) == 1
        assert 0.1 < seconds < 20


@moves(TASKS)
async def test_the_tasks_of_handlers_that_wait_are_counted() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        await client.settle()
        before = app.metrics.totals["tasks"]
        await ann.send("wait")
        await app.gateway.begun.wait()
        assert app.metrics.totals["tasks"] == before + 1
        app.gateway.go_on.set()
        await client.settle()
        assert app.metrics.totals["tasks"] == before


@moves(DRAIN_TIMEOUTS)
async def test_a_stop_that_cancels_handlers_is_counted() -> None:
    app = App(drain_timeout=0.1)
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.send("wait")
        await app.gateway.begun.wait()
        await app.app.realtime.stop()
        assert app.gateway.ended.is_set()
    assert app.metrics.totals["drain_timeouts_total"] == 1


async def test_a_stop_in_time_is_not_counted() -> None:
    app = App()
    async with RealtimeTestClient(app.app) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.send("wait")
        await app.gateway.begun.wait()
        app.gateway.go_on.set()
    assert app.gateway.ended.is_set()
    assert app.metrics.totals["drain_timeouts_total"] == 0
