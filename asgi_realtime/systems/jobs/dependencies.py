"""The broadcaster of Jobs in a route of FastAPI, or in a view of a WSGI app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from asgi_realtime.gateways.mounted import find_gateway, get_gateway
from asgi_realtime.systems.jobs.broadcaster import JobsBroadcaster, SyncJobsBroadcaster
from asgi_realtime.systems.jobs.gateway import JobsGateway


async def get_jobs_broadcaster(conn: HTTPConnection) -> JobsBroadcaster:
    """Return the typed broadcaster of the mounted `JobsGateway`: for FastAPI's `Depends`.

    Raises:
        ConfigurationError: if none is mounted, or more than one.
    """
    return JobsBroadcaster(get_gateway(conn, JobsGateway).broadcaster)


def get_sync_jobs_broadcaster(environ: Mapping[str, Any]) -> SyncJobsBroadcaster | None:
    """Return the same for a WSGI view, from its request's environment. None: the app runs without a gateway.

    Raises:
        ConfigurationError: if the app has other gateways, but no `JobsGateway`, or more than one.
    """
    gateway = find_gateway(environ, JobsGateway)
    return None if gateway is None else JobsBroadcaster(gateway.broadcaster).sync
