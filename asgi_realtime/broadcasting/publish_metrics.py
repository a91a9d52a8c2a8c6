"""How long broadcasts take, and how many fail."""

from __future__ import annotations

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import PUBLISH_FAILURES, PUBLISH_SECONDS
from asgi_realtime.metrics.recorded import Histogram
from asgi_realtime.values.ids import GatewayName


class PublishMetrics:
    """The publications of this process by gateway."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._seconds: dict[GatewayName, Histogram] = {}
        self._failures = meter.counters(PUBLISH_FAILURES, "gateway")

    def published(self, gateway: GatewayName, seconds: float) -> None:
        """A publication took so many seconds."""
        histogram = self._seconds.get(gateway)
        if histogram is None:
            histogram = self._seconds[gateway] = self._meter.histogram(PUBLISH_SECONDS, gateway=gateway)
        histogram.observe(seconds)

    def failed(self, gateway: GatewayName) -> None:
        """A publication failed, or took too long."""
        self._failures.add(gateway)
