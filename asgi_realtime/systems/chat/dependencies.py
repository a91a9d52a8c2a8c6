"""The broadcaster of Chat in a route of FastAPI, or in a view of a WSGI app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from asgi_realtime.gateways.mounted import find_gateway, get_gateway
from asgi_realtime.systems.chat.broadcaster import ChatBroadcaster, SyncChatBroadcaster
from asgi_realtime.systems.chat.gateway import ChatGateway


async def get_chat_broadcaster(conn: HTTPConnection) -> ChatBroadcaster:
    """Return the typed broadcaster of the mounted `ChatGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted, or more than one.
    """
    return ChatBroadcaster(get_gateway(conn, ChatGateway).broadcaster)


def get_sync_chat_broadcaster(environ: Mapping[str, Any]) -> SyncChatBroadcaster | None:
    """Return the same for a WSGI view, from its request's environment. None: the app runs without a gateway.

    Raises:
        ConfigurationError: if the app has other gateways, but no `ChatGateway`, or more than one.
    """
    gateway = find_gateway(environ, ChatGateway)
    return None if gateway is None else ChatBroadcaster(gateway.broadcaster).sync
