"""Delivers a publication to the receiver in this process. All brokers use it."""

from __future__ import annotations

from typing import Protocol

from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.values.publications import Publication


class PublicationReceiver(Protocol):
    """The part of `BrokerReceiver` that takes publications."""

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients. Returns the number of connections."""


def deliver(receiver: PublicationReceiver, publication: Publication, failures: FailureLog) -> int:
    """Deliver a publication to the receiver. Returns the number of connections it was written to.

    An error of the receiver goes to `failures`, and 0 is returned. It must not reach the publisher or stop the broker.
    """
    try:
        return receiver.deliver(publication)
    except Exception as error:
        event = publication.event
        failures.failed(publication.gateway, "delivering a broadcast failed", error, about=repr(event), event=event)
        return 0
