"""`token_sources` of a gateway class: where its default authenticator reads JWTs."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    create_token,
    token_from_cookie,
    token_from_query,
)
from asgi_realtime.systems.events import EventsGateway
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes", presence_grace=0.0)
TOKEN = create_token("ann", SETTINGS)
PLACES: dict[str, dict[str, Any]] = {
    "auth": {"auth": {"token": TOKEN}},
    "bearer": {"headers": {"authorization": f"Bearer {TOKEN}"}},
    "cookie": {"cookies": {"session": TOKEN}},
    "query": {"query": {"token": TOKEN}},
}


class Sessions(SocketIOGateway):
    token_sources = (token_from_cookie("session"),)


class Feed(WebSocketGateway):
    token_sources = (token_from_query("token"), token_from_cookie("session"))


@pytest.mark.parametrize(
    ("gateway", "accepted"),
    [
        (SocketIOGateway("/"), {"auth", "bearer"}),
        (Sessions("/"), {"cookie"}),
        (EventsGateway("/"), {"auth", "query"}),
        (WebSocketGateway("/feed", auth_frame=False), {"bearer", "query"}),
        (Feed("/feed", auth_frame=False), {"cookie", "query"}),
        (Feed("/feed", auth_frame=False, query_token=False), {"cookie"}),
    ],
)
async def test_clients_are_accepted_with_a_token_in_these_places_only(gateway: Any, accepted: set[str]) -> None:
    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    found = set()
    async with RealtimeTestClient(app) as client:
        for place, options in PLACES.items():
            try:
                async with client.connect(gateway.name, **options):
                    found.add(place)
            except ConnectionRefused:
                pass
    assert found == accepted
    described = {source.place for source in gateway.accepted_token_sources()}
    assert described == accepted
