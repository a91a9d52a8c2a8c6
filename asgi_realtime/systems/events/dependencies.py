"""The broadcaster of Events in a route of FastAPI, or in a view of a WSGI app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from asgi_realtime.gateways.mounted import find_gateway, get_gateway
from asgi_realtime.systems.events.broadcaster import EventsBroadcaster, SyncEventsBroadcaster
from asgi_realtime.systems.events.gateway import EventsGateway


async def get_events_broadcaster(conn: HTTPConnection) -> EventsBroadcaster:
    """Return the typed broadcaster of the mounted `EventsGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted, or more than one.
    """
    return EventsBroadcaster(get_gateway(conn, EventsGateway).broadcaster)


def get_sync_events_broadcaster(environ: Mapping[str, Any]) -> SyncEventsBroadcaster | None:
    """Return the same for a WSGI view, from its request's environment. None: the app runs without a gateway.

    Raises:
        ConfigurationError: if the app has other gateways, but no `EventsGateway`, or more than one.
    """
    gateway = find_gateway(environ, EventsGateway)
    return None if gateway is None else EventsBroadcaster(gateway.broadcaster).sync
