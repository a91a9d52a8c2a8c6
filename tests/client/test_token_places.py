"""Generated clients put their token where the gateway reads it."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    RealtimeMiddleware,
    SocketIOGateway,
    WebSocketGateway,
    create_token,
    token_from_auth,
    token_from_bearer,
    token_from_cookie,
    token_from_query,
)
from asgi_realtime.auth.token_sources import TokenSource
from asgi_realtime.client import Closed, Connected, Refused
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.schema.python.files import python_client
from tests.support.returning_clients import SETTINGS, SOON
from tests.support.servers import Serve


def desk(source: TokenSource, *, auth_frame: bool) -> Gateway:
    kind = type("DeskGateway", (WebSocketGateway,), {"token_sources": (token_from_cookie("session"), source)})
    return kind("/desk", auth_frame=auth_frame)  # type: ignore[no-any-return]


def board(source: TokenSource) -> Gateway:
    kind = type("BoardGateway", (SocketIOGateway,), {"token_sources": (token_from_cookie("session"), source)})
    return kind("/board")  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("gateway", "client", "written"),
    [
        (desk(token_from_auth("jwt"), auth_frame=True), "DeskClient", 'token_place = "auth"\n    token_name = "jwt"\n'),
        (desk(token_from_query("k"), auth_frame=False), "DeskClient", 'token_place = "query"\n    token_name = "k"\n'),
        (desk(token_from_bearer(), auth_frame=False), "DeskClient", 'token_place = "bearer"\n    accepted'),
        (board(token_from_auth("jwt")), "BoardClient", 'namespace = "/board"\n    token_name = "jwt"\n'),
        (board(token_from_bearer()), "BoardClient", 'namespace = "/board"\n    token_place = "bearer"\n'),
    ],
    ids=["auth frame", "query", "bearer", "CONNECT", "bearer of Socket.IO"],
)
async def test_a_token_is_where_the_gateway_reads_it(serve: Serve, gateway: Gateway, client: str, written: str) -> None:
    text = python_client(gateway)
    assert f"    {written}" in text
    module: dict[str, Any] = {"__name__": __name__}
    exec(text, module)
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS))
    async with module[client](server.url, auth=create_token("ann", SETTINGS)) as connected:
        assert connected.connected
    with pytest.raises(Refused):
        await module[client](server.url, auth="no token").connect()


@pytest.mark.parametrize("code", [1008, 1000])
async def test_a_function_for_headers_gives_newer_credentials_too(serve: Serve, code: int) -> None:
    kind = type("CookieGateway", (WebSocketGateway,), {"token_sources": (token_from_cookie("session"),)})
    module: dict[str, Any] = {"__name__": __name__}
    exec(python_client(kind("/cookie", auth_frame=False)), module)
    app = RealtimeMiddleware(Starlette(), gateways=[kind("/cookie", auth_frame=False)], settings=SETTINGS)
    server = await serve(app)

    def headers() -> dict[str, str]:
        return {"Cookie": f"session={create_token('ann', SETTINGS)}"}

    async with module["CookieClient"](server.url, headers=headers, reconnection=SOON) as client:
        await client.expect(Connected)
        await app.broadcaster.disconnect_user("ann", code=code)
        if code == 1008:
            await client.expect(Connected)
        else:
            with pytest.raises(Closed):
                await client.expect(Connected)
