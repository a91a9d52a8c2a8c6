"""Metrics reach the host without being asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from starlette.applications import Starlette

from asgi_realtime import Metric, RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.testing import RealtimeTestClient
from tests.support.recorded_metrics import RecordedMetrics

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes")


class Waiting(RecordedMetrics):
    """Never asks for a transfer, and waits for one."""

    def __init__(self) -> None:
        super().__init__()
        self.connected = asyncio.Event()
        self.closed = 0.0

    def attach(self, transfer: Callable[[], None]) -> None:
        pass

    def gauge(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        def set_(value: float) -> None:
            if metric.name == "connections" and value:
                self.connected.set()

        return set_

    def counter(self, metric: Metric, labels: Mapping[str, str]) -> Callable[[float], object]:
        def add(amount: float) -> None:
            if metric.name == "engineio_sessions_closed_total":
                self.closed += amount

        return add


async def test_values_come_once_a_second_and_at_the_end() -> None:
    metrics = Waiting()
    app = RealtimeMiddleware(Starlette(), gateways=[SocketIOGateway()], settings=SETTINGS, metrics=metrics)
    async with RealtimeTestClient(app) as client:
        async with client.connect("/", token=client.token("ann")):
            async with asyncio.timeout(20):
                await metrics.connected.wait()
    assert metrics.closed == 1
