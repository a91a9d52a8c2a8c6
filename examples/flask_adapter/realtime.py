"""Sends events to clients from views and workers. Without a gateway nothing is sent, and everything else works."""

from __future__ import annotations

import logging
from collections.abc import Callable

from flask import request

from asgi_realtime import BrokerUnavailable, SyncChatBroadcaster, get_sync_chat_broadcaster

logger = logging.getLogger(__name__)


def notify(event: Callable[[SyncChatBroadcaster], object]) -> None:
    """Send an event of Chat if there is a gateway. Call it after the commit.

    If the broker is down, the event is lost but the request succeeds: the data is in the database.
    """
    chat = get_sync_chat_broadcaster(request.environ)
    if chat is not None:
        try:
            event(chat)
        except BrokerUnavailable:
            logger.exception("the broker is not available: clients see this change when they load it")
