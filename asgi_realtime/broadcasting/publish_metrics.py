"""How long broadcasts take, and how many fail."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from time import monotonic
from typing import Any

from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import PUBLISH_FAILURES, PUBLISH_SECONDS
from asgi_realtime.metrics.recorded import Histogram
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Receipt


class PublishMetrics:
    """The publications of this process by gateway."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._seconds: dict[GatewayName, Histogram] = {}
        self._failures = meter.counters(PUBLISH_FAILURES, "gateway")

    async def timed(self, gateway: GatewayName, publishing: Coroutine[Any, Any, Receipt]) -> Receipt:
        """Await a publication."""
        began = monotonic()
        try:
            receipt = await publishing
        except (BrokerUnavailable, asyncio.CancelledError):  # cancelled: it took too long
            self._failures.add(gateway)
            raise
        seconds = self._seconds.get(gateway)
        if seconds is None:
            seconds = self._seconds[gateway] = self._meter.histogram(PUBLISH_SECONDS, gateway=gateway)
        seconds.observe(monotonic() - began)
        return receipt
