"""The broadcaster of Mew in a route of FastAPI, or in a view of a WSGI app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from asgi_realtime.gateways.mounted import find_gateway, get_gateway
from asgi_realtime.systems.mew.broadcaster import MewBroadcaster, SyncMewBroadcaster
from asgi_realtime.systems.mew.gateway import MewGateway


async def get_mew_broadcaster(conn: HTTPConnection) -> MewBroadcaster:
    """Return the typed broadcaster of the mounted `MewGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted, or more than one.
    """
    return MewBroadcaster(get_gateway(conn, MewGateway).broadcaster)


def get_sync_mew_broadcaster(environ: Mapping[str, Any]) -> SyncMewBroadcaster | None:
    """Return the same for a WSGI view, from its request's environment. None: the app runs without a gateway.

    Raises:
        ConfigurationError: if the app has other gateways, but no `MewGateway`, or more than one.
    """
    gateway = find_gateway(environ, MewGateway)
    return None if gateway is None else MewBroadcaster(gateway.broadcaster).sync
