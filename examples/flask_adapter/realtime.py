"""Telling clients, from views and workers. The gateway is optional: without one nobody is told, and all else works."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import request

from asgi_realtime import BrokerUnavailable, SyncChatBroadcaster, get_sync_chat_broadcaster

logger = logging.getLogger(__name__)


def tell(event: Callable[[SyncChatBroadcaster], object]) -> None:
    """Send an event of Chat, where there is a gateway. Call it after the commit.

    A broker that is down costs the event, not the request: what happened is in the database.
    """
    chat = get_sync_chat_broadcaster(request.environ)
    if chat is not None:
        try:
            event(chat)
        except BrokerUnavailable:
            logger.exception("the broker is away: clients will see this when they ask for it")
