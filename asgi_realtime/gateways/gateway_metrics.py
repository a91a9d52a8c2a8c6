"""What a gateway counts of its connections."""

from __future__ import annotations

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import CLOSED, NO_CODE, OPENED, RECOVERIES, REFUSED_CONNECTIONS
from asgi_realtime.values.ids import GatewayName


class GatewayMetrics:
    """The counters of one gateway."""

    def __init__(self, meter: Meter, gateway: GatewayName) -> None:
        self._opened = meter.counter(OPENED, gateway=gateway)
        self._refused = meter.counters(REFUSED_CONNECTIONS, "reason", gateway=gateway)
        self._closed = meter.counters(CLOSED, "reason", "code", gateway=gateway)
        self._recoveries = meter.counters(RECOVERIES, "result", gateway=gateway)

    def opened(self) -> None:
        """A client was let in."""
        self._opened.value += 1

    def refused(self, reason: str) -> None:
        """A client was not let in. `reason`: the code of the refusal, or what else the declaration has."""
        self._refused.add(reason)

    def closed(self, reason: str, ended: tuple[int, str] | None) -> None:
        """A connection has ended. `ended`: see `InternalConnection.ended`."""
        self._closed.add(reason, NO_CODE if ended is None else str(ended[0]))

    def came_back(self, recovered: bool) -> None:
        """A client has asked for the session of an earlier connection."""
        self._recoveries.add("recovered" if recovered else "new session")
