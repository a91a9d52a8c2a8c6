"""What a gateway counts of the events of its clients."""

from __future__ import annotations

from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import EVENTS, HANDLER_SECONDS, REFUSED_EVENTS
from asgi_realtime.metrics.metric import OTHER
from asgi_realtime.metrics.recorded import Counter, Histogram
from asgi_realtime.values.ids import GatewayName


class EventMetrics:
    """The events of one gateway by name: those that have handlers, and all others together."""

    def __init__(self, meter: Meter, gateway: GatewayName) -> None:
        self._meter = meter
        self._gateway = gateway
        self.on = meter.on
        """Whether events are to be counted."""
        self._counters = {OTHER: self._new_counter(OTHER)}
        self._seconds: dict[str, Histogram] = {}
        self._refused = meter.counters(REFUSED_EVENTS, "code", gateway=gateway)

    def _new_counter(self, event: str) -> Counter:
        return self._meter.counter(EVENTS, gateway=self._gateway, event=event)

    def declare(self, event: str) -> None:
        """An event has a handler."""
        self._counters[event] = self._new_counter(event)

    def counter(self, event: str) -> Counter:
        """What counts an event. An event without a handler is counted as `other`."""
        return self._counters.get(event) or self._counters[OTHER]

    def refused(self, code: str) -> None:
        """An event was refused with this code."""
        self._refused.add(code)

    def waited(self, event: str, seconds: float) -> None:
        """The handler of an event has ended, so many seconds after its first wait."""
        (self._seconds.get(event) or self._histogram(event)).observe(seconds)

    def _histogram(self, event: str) -> Histogram:
        event = event if event in self._counters else OTHER
        histogram = self._seconds.get(event)
        if histogram is None:
            histogram = self._meter.histogram(HANDLER_SECONDS, gateway=self._gateway, event=event)
            self._seconds[event] = histogram
        return histogram
