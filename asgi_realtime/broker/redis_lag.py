"""Measures how long messages are under way from Redis to this process."""

from __future__ import annotations

from time import time

from asgi_realtime.broker.redis_feed import Feed, Message
from asgi_realtime.metrics.recorded import Histogram


class MeasuredFeed(Feed):
    """A feed whose lag is measured. The number of a message is the time of Redis when it was published, in µs."""

    lag: Histogram

    def _deliver_numbered(self, message: Message) -> None:
        self.lag.observe(max(0.0, time() - message.number / 1_000_000))
        super()._deliver_numbered(message)
