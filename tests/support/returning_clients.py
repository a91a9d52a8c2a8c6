"""Generated clients that return soon after a loss, and an app with their gateways."""

from __future__ import annotations

from typing import Any

from starlette.applications import Starlette

from asgi_realtime import RealtimeMiddleware, Settings, create_token
from asgi_realtime.client import Reconnection
from tests.support.clients import counters, workshop
from tests.support.workshop import CountersGateway, WorkshopGateway

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", jwt_leeway=0)
SOON = Reconnection(first_delay=0.01, longest_delay=0.05)


def middleware(desk: CountersGateway | None = None) -> RealtimeMiddleware:
    """An app with both gateways."""
    gateways = [WorkshopGateway("/"), desk or CountersGateway("/counters")]
    return RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS)


class Tokens:
    """Makes a token for each attempt, and counts them."""

    def __init__(self, seconds: float = 60) -> None:
        self.made = 0
        self._seconds = seconds

    async def __call__(self) -> str:
        self.made += 1
        return create_token("ann", SETTINGS, expires_in=self._seconds)


def counters_client(url: str, auth: Any = None, **options: Any) -> counters.CountersClient:
    """A client of the JSON gateway that returns soon, with a token that does not change."""
    auth = create_token("ann", SETTINGS) if auth is None else auth
    return counters.CountersClient(f"{url}/counters", auth=auth, **{"reconnection": SOON, **options})


def workshop_client(url: str, auth: Any = None, **options: Any) -> workshop.WorkshopClient:
    """A client of the Socket.IO gateway that returns soon, with a token that does not change."""
    auth = create_token("ann", SETTINGS) if auth is None else auth
    return workshop.WorkshopClient(url, auth=auth, **{"reconnection": SOON, **options})
