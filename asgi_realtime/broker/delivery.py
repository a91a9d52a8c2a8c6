"""Handing a publication to this process: for every broker the same."""

from __future__ import annotations

import logging
from typing import Protocol

from asgi_realtime.values.publications import Publication

logger = logging.getLogger("asgi_realtime")


class PublicationReceiver(Protocol):
    """What takes publications: a `BrokerReceiver`."""

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients; how many connections that were."""


def deliver(receiver: PublicationReceiver, publication: Publication) -> int:
    """Hand a publication to the receiver. Returns to how many connections it was written.

    An error of the receiver is logged and counts as none: it must not reach the publisher, nor stop the broker.
    """
    try:
        return receiver.deliver(publication)
    except Exception:
        logger.exception("delivering %r failed", publication.event)
        return 0
