"""Handing a publication to this process: for every broker the same."""

from __future__ import annotations

import logging

from asgi_realtime.broker.base import BrokerReceiver
from asgi_realtime.values.publications import Publication

logger = logging.getLogger("asgi_realtime")


def deliver(receiver: BrokerReceiver, publication: Publication) -> int:
    """Hand a publication to the receiver. Returns to how many connections it was written.

    An error of the receiver is logged and counts as none: it must not reach the publisher, nor stop the broker.
    """
    try:
        return receiver.deliver(publication)
    except Exception:
        logger.exception("delivering %r failed", publication.event)
        return 0
