"""The broadcaster of Polls in a route of FastAPI, or in a view of a WSGI app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from asgi_realtime import find_gateway, get_gateway

from .broadcaster import PollsBroadcaster, SyncPollsBroadcaster
from .gateway import PollsGateway


async def get_polls_broadcaster(conn: HTTPConnection) -> PollsBroadcaster:
    """Return the broadcaster of the mounted `PollsGateway`: for FastAPI's `Depends`."""
    return PollsBroadcaster(get_gateway(conn, PollsGateway).broadcaster)


def get_sync_polls_broadcaster(environ: Mapping[str, Any]) -> SyncPollsBroadcaster | None:
    """Return the same for a WSGI view. None: the app runs without a gateway."""
    gateway = find_gateway(environ, PollsGateway)
    return None if gateway is None else PollsBroadcaster(gateway.broadcaster).sync
