"""A time in which the broker in memory behaves as one on Redis that cannot be reached. For tests of applications."""

from __future__ import annotations

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.broker.delivery import deliver
from asgi_realtime.errors import BrokerUnavailable
from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.publications import Publication, Receipt

_QUEUED = 10_000
"""Most publications that are queued, as in the queue for Redis."""


class Interruption:
    """What a `MemoryBroker` does from `interrupt` to `resume`.

    Args:
        receiver: the one of the broker.
        local: whether publications are delivered in this process and queued, as with `MEW_ON_BROKER_DOWN=local`.
        failures: logs deliveries that fail.
    """

    def __init__(self, receiver: BrokerReceiver, *, local: bool, failures: FailureLog) -> None:
        self.receiver = receiver
        self._failures = failures
        self.queue: list[Publication] = []
        """Publications that were delivered here and have no position, in order."""
        self._local = local
        self._receipts: dict[tuple[GatewayName, str], Receipt] = {}

    def publish(self, publication: Publication, key: str | None) -> Receipt:
        """Refuse a publication; or deliver it here, and queue it unless it is volatile.

        Raises:
            BrokerUnavailable: it is not delivered here, or the queue is full.
        """
        if not self._local:
            raise unavailable()
        known = None if key is None else self._receipts.get((publication.gateway, key))
        if known is not None:
            return known
        if not publication.volatile:
            if len(self.queue) >= _QUEUED:
                raise BrokerUnavailable("Redis is away, and the queue is full")
            self.queue.append(publication)
        delivered = deliver(self.receiver, publication, self._failures)
        receipt = Receipt(position=None, delivered_locally=delivered, replicated=False)
        if key is not None:
            self._receipts[publication.gateway, key] = receipt
        return receipt


def unavailable() -> BrokerUnavailable:
    """The error of every call that needs the broker."""
    return BrokerUnavailable("Redis is not available: the test has interrupted the broker")
