"""A page of a foreign origin is refused over each transport, with each CORS configuration of the host."""

from __future__ import annotations

import json
from typing import Any, Literal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Origin

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway
from tests.support.attackers import entered, still_answers
from tests.support.raw_engineio import raw_client
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.target_app import Target, by_name

ALLOWED = "https://app.example.com"
FOREIGN = (
    "https://evil.example.com",
    "http://app.example.com",
    "https://app.example.com.evil.com",
    "https://app.example.com:8443",
    "null",
    "",
    "https://app.example.com, https://evil.example.com",
)
CORS_HEADERS = ("access-control-allow-origin", "access-control-allow-credentials")
GUEST = "https://guest.example.com"
HostCORS = Literal["no", "inner", "outer"]


class Guests(SocketIOGateway):
    """A namespace that one more page may use."""

    def extra_origins(self, settings: Settings) -> tuple[str, ...]:
        return (GUEST,)


def with_host_cors(target: Target, host_cors: HostCORS) -> ASGIApp:
    """The app with the most permissive CORSMiddleware of a host, inside or outside the package's middleware."""
    options: dict[str, Any] = {"allow_origins": ["*"], "allow_methods": ["*"], "allow_headers": ["*"]}
    if host_cors == "inner":
        target.host.add_middleware(CORSMiddleware, allow_credentials=True, **options)
    return CORSMiddleware(target.app, allow_credentials=True, **options) if host_cors == "outer" else target.app


async def websocket_status(url: str, origin: str) -> int:
    try:
        async with connect(url, origin=Origin(origin)):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


def single(response: httpx.Response) -> None:
    """Fail if a CORS header occurs twice."""
    for name in CORS_HEADERS:
        assert len(response.headers.get_list(name)) <= 1, response.headers


@pytest.mark.parametrize("host_cors", ["no", "inner", "outer"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_foreign_origin_is_refused_everywhere(
    serve: Serve, implementation: Implementation, host_cors: HostCORS
) -> None:
    target = Target(WebSocketGateway("/chat", authenticator=by_name), cors_origins=(ALLOWED,))
    server = await serve(with_host_cors(target, host_cors), implementation)
    async with httpx.AsyncClient(timeout=10) as http, entered(server, "victim", "polling") as victim:
        for origin in FOREIGN:
            await _refused(http, server, str(victim.handshake["sid"]), origin, host_cors)
        await still_answers(victim)
        assert len(target.realtime.engineio.sessions) == 1


async def _refused(http: httpx.AsyncClient, server: LiveServer, sid: str, origin: str, host_cors: HostCORS) -> None:
    polling, websocket = (f"/socket.io/?EIO=4&transport={name}" for name in ("polling", "websocket"))
    headers = {"Origin": origin}
    for response in (
        await http.get(server.url + polling, headers=headers),
        await http.get(f"{server.url}{polling}&sid={sid}", headers=headers),
        await http.post(f"{server.url}{polling}&sid={sid}", content='42["echo","forged"]', headers=headers),
    ):
        assert response.status_code == 403
        single(response)
        if host_cors != "outer":  # the outermost middleware decides the headers, but not the status
            assert "access-control-allow-origin" not in response.headers
    for path in (websocket, f"{websocket}&sid={sid}", "/chat"):
        assert await websocket_status(server.websocket_url + path, origin) == 403
    if host_cors != "outer":
        preflight = await http.options(
            server.url + polling, headers=headers | {"Access-Control-Request-Method": "POST"}
        )
        assert preflight.status_code == 403


@pytest.mark.parametrize("host_cors", ["no", "inner", "outer"])
@pytest.mark.parametrize("origin", [ALLOWED, None], ids=["listed", "own"])
async def test_an_allowed_origin_is_served_with_each_header_once(
    serve: Serve, host_cors: HostCORS, origin: str | None
) -> None:
    target = Target(cors_origins=(ALLOWED,))
    server = await serve(with_host_cors(target, host_cors))
    headers = {"Origin": origin or server.url}
    async with httpx.AsyncClient(timeout=10, headers=headers) as http:
        for path in ("/socket.io/?EIO=4&transport=polling", "/state"):
            response = await http.get(server.url + path)
            assert response.status_code == 200
            single(response)
            if origin is not None:
                assert response.headers["access-control-allow-origin"] in (origin, "*")
    async with raw_client(server, "websocket", headers=headers):
        pass


async def test_without_configuration_only_the_same_origin_is_served(serve: Serve) -> None:
    target = Target()
    server = await serve(target.app)
    async with httpx.AsyncClient(timeout=10) as http, entered(server, "victim", "polling") as victim:
        for origin in (*FOREIGN, ALLOWED):
            await _refused(http, server, str(victim.handshake["sid"]), origin, "no")
    async with entered(server, "own", "polling", headers={"Origin": server.url}) as own:
        await still_answers(own)


async def test_a_page_that_only_one_namespace_allows_cannot_use_the_session_of_another_page(serve: Serve) -> None:
    app = RealtimeMiddleware(
        Starlette(),
        gateways=[SocketIOGateway(authenticator=by_name), Guests("/guests", authenticator=by_name)],
        settings=Settings(cors_origins=(ALLOWED,)),
    )
    server = await serve(app)
    polling = f"{server.url}/socket.io/?EIO=4&transport=polling"
    guest, own = {"Origin": GUEST}, {"Origin": ALLOWED}
    async with httpx.AsyncClient(timeout=10) as http:

        async def open_from(origin: dict[str, str]) -> str:
            opened = await http.get(polling, headers=origin)
            assert opened.status_code == 200
            return f"{polling}&sid={json.loads(opened.text[1:])['sid']}"

        of_user, of_guest = await open_from(own), await open_from(guest)
        for method, content in (("GET", ""), ("POST", '42["echo","forged"]')):
            assert (await http.request(method, of_user, content=content, headers=guest)).status_code == 403
        assert (await http.post(of_user, content="40", headers=own)).status_code == 200
        assert (await http.post(of_guest, content="40/guests,", headers=guest)).status_code == 200
    websocket = of_user.replace("http:", "ws:").replace("polling", "websocket")
    assert await websocket_status(websocket, GUEST) == 403
    assert await websocket_status(websocket, ALLOWED) == 101
