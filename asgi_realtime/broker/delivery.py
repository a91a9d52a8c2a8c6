"""Delivers a publication to the receiver in this process. All brokers use it."""

from __future__ import annotations

import logging
from typing import Protocol

from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.values.publications import Publication

logger = logging.getLogger("asgi_realtime")


class PublicationReceiver(Protocol):
    """The part of `BrokerReceiver` that takes publications."""

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients. Returns the number of connections."""


def deliver(receiver: PublicationReceiver, publication: Publication) -> int:
    """Deliver a publication to the receiver. Returns the number of connections it was written to.

    An error of the receiver is logged, and 0 is returned. It must not reach the publisher or stop the broker.
    """
    try:
        return receiver.deliver(publication)
    except Exception:
        extra = log_fields(publication.gateway, event=publication.event)
        logger.exception("delivering %r failed", publication.event, extra=extra)
        return 0
