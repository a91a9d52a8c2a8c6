"""Cookies and HTTP authentication, which browsers add by themselves, do not authenticate pages of foreign origins."""

from __future__ import annotations

import json
import logging
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import connect

from asgi_realtime import (
    Connection,
    EventsGateway,
    Handshake,
    Identity,
    MewGateway,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    Unauthorized,
    UserRooms,
    WebSocketGateway,
    create_token,
)
from asgi_realtime.values.ids import UserId
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve

SECRET = "a secret for tests that is long enough"
APP, EVIL = "https://app.example.com", "https://evil.example"
TOKEN = create_token("ann", Settings(jwt_secret=SECRET))


async def home(request: Request) -> Response:
    return PlainTextResponse("home")


class Service:
    async def rooms_of(self, identity: Identity) -> UserRooms:
        return UserRooms()

    async def create_message(self, *_: Any) -> None: ...


async def by_what_the_browser_adds(handshake: Handshake) -> Identity:
    """An authenticator of a host, which accepts a cookie or HTTP authentication."""
    ways = [
        handshake.cookies.get("session"),
        handshake.headers.get("cookie"),
        handshake.headers.get("authorization"),
    ]
    if not any(ways):
        raise Unauthorized
    return Identity(user_id=UserId("ann"))


class Seen(SocketIOGateway):
    """Records the handshakes of `on_connect`."""

    def __init__(self) -> None:
        super().__init__("/seen")
        self.handshakes: list[Handshake] = []

    async def on_connect(self, connection: Connection) -> None:
        self.handshakes.append(connection.handshake)


async def admitted(
    server: LiveServer, transport: TransportName, namespace: str, headers: dict[str, str], auth: Any = None
) -> bool:
    """Whether a client is accepted in a namespace."""
    async with raw_client(server, transport, headers=headers) as client:
        namespace = "" if namespace == "/" else f"{namespace},"
        await client.send(f"0{namespace}" + ("" if auth is None else json.dumps(auth)))
        return str(await client.receive()).startswith(f"0{namespace}")


async def json_admitted(server: LiveServer, path: str, headers: dict[str, str]) -> bool:
    async with connect(server.websocket_url + path, additional_headers=headers) as client:
        return bool(json.loads(await client.recv())["type"] == "auth_success")


def app(**settings: Any) -> RealtimeMiddleware:
    return RealtimeMiddleware(
        Starlette(routes=[Route("/", home)]),
        gateways=[
            MewGateway(service=Service()),
            SocketIOGateway("/own", authenticator=by_what_the_browser_adds),
            WebSocketGateway("/json", authenticator=by_what_the_browser_adds, auth_frame=False),
            EventsGateway(authenticator=by_what_the_browser_adds),
        ],
        settings=Settings(**{"jwt_secret": SECRET, "events_cors_origin": "", **settings}),
    )


ADDED = (
    {"Cookie": f"session=1; mew_access_token={TOKEN}"},
    {"Authorization": "Basic YW5uOnNlY3JldA=="},
    {"Authorization": "Digest username=ann"},
    {"Authorization": "negotiate abc"},
)


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize(
    ("settings", "origin", "trusted"),
    [
        ({"cors_origins": ("*",)}, EVIL, False),
        ({"cors_origins": ("*",)}, "null", False),
        ({"cors_origins": ("*",)}, "file://", False),
        ({"cors_origins": ("*",)}, "own", True),
        ({"cors_origins": ("*",)}, None, True),
        ({"cors_origins": ("*", APP)}, APP, True),
        ({"cors_origins": ("*", APP)}, EVIL, False),
        ({"cors_origins": ("https://*",)}, EVIL, False),
        ({"cors_origins": ("https://*.example.com",)}, APP, True),
        ({"cors_origins": ("null", "file://")}, "null", False),
        ({"cors_origins": ("null", "file://")}, "file://", False),
        ({"cors_origin_regex": ".*"}, EVIL, False),
        ({"cors_origin_regex": r"https://[a-z]+\.example\.com"}, APP, True),
        ({"cors_origins": (APP,)}, APP, True),
        ({"cors_origins": (APP,)}, "own", True),
    ],
)
async def test_cookies_authenticate_requests_of_trusted_origins_only(
    serve: Serve, transport: TransportName, settings: dict[str, Any], origin: str | None, trusted: bool
) -> None:
    server = await serve(app(**settings))
    page = {} if origin is None else {"Origin": server.url if origin == "own" else origin}
    for added in ADDED:
        assert await admitted(server, transport, "/own", page | added) == trusted
        assert await json_admitted(server, "/json", page | added) == trusted
    assert await admitted(server, transport, "/", page | ADDED[0]) == trusted
    # A script must know these credentials to send them, so they are accepted from every origin.
    assert await admitted(server, transport, "/", page | {"Authorization": f"Bearer {TOKEN}"})
    assert await admitted(server, transport, "/", page, {"token": TOKEN})
    assert await admitted(server, transport, "/own", page | {"Authorization": f"Bearer {TOKEN}"})


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_an_extra_origin_of_a_gateway_is_trusted_by_that_gateway_only(
    serve: Serve, transport: TransportName
) -> None:
    server = await serve(app(cors_origins=("*",), events_cors_origin=APP))
    page = {"Origin": APP, **ADDED[0]}
    assert await admitted(server, transport, "/events", page)
    assert not await admitted(server, transport, "/own", page)
    server = await serve(app(cors_origins=(APP,), events_cors_origin="*"))
    assert await admitted(server, transport, "/own", page)
    assert await admitted(server, transport, "/events", page)
    assert not await admitted(server, transport, "/events", {"Origin": EVIL, **ADDED[0]})


async def test_a_gateway_gets_credentials_of_trusted_origins_only(serve: Serve) -> None:
    seen, sio = Seen(), SocketIOServer(namespaces=["/sio"])
    environs: list[dict[str, Any]] = []
    sio.on("connect", lambda sid, environ, auth: environs.append(environ), namespace="/sio")
    settings = Settings(jwt_secret=SECRET, cors_origins=("*",))
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[seen, sio], settings=settings))
    for origin in (EVIL, server.url):
        page = {"Origin": origin, **ADDED[0]}
        assert await admitted(server, "websocket", "/seen", page, {"token": TOKEN})
        assert await admitted(server, "websocket", "/sio", page)
    foreign, own = seen.handshakes
    assert (foreign.cookies, foreign.headers.get("cookie"), foreign.origin) == ({}, None, EVIL)
    assert own.cookies["session"] == "1"
    assert "HTTP_COOKIE" not in environs[0]
    assert environs[1]["HTTP_COOKIE"] == ADDED[0]["Cookie"]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("path", ["/", "/socket.io/?EIO=4&transport=polling"])
async def test_no_response_allows_credentials_to_any_page(
    serve: Serve, implementation: Implementation, path: str
) -> None:
    server = await serve(app(cors_origins=("*", APP)), implementation)
    async with httpx.AsyncClient() as http:
        for method, asked in (("GET", {}), ("OPTIONS", {"Access-Control-Request-Method": "POST"})):
            for origin in (EVIL, "null", "file://", server.url, "https://other.example"):
                response = await http.request(method, server.url + path, headers={"Origin": origin, **asked})
                assert response.status_code == 200
                assert response.headers.get_list("access-control-allow-origin") == ["*"]
                assert "access-control-allow-credentials" not in response.headers
                assert "Origin" in response.headers["vary"]
            response = await http.request(method, server.url + path, headers={"Origin": APP, **asked})
            assert response.headers.get_list("access-control-allow-origin") == [APP]
            assert response.headers.get_list("access-control-allow-credentials") == ["true"]


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"cors_origins": ("*",)}, "MEW_CORS_ORIGINS"),
        ({"cors_origins": (APP, "https://*")}, "MEW_CORS_ORIGINS"),
        ({"cors_origin_regex": ".*"}, "MEW_CORS_ORIGIN_REGEX"),
        ({"events_cors_origin": "*"}, "/events"),
        ({"cors_origins": (APP, "https://*.example.com", "null")}, None),
        ({}, None),
    ],
)
def test_start_up_logs_once_that_any_page_may_connect(
    settings: dict[str, Any], named: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    app(**settings).realtime  # noqa: B018
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == (named is not None)
    for warning in warnings:
        assert str(named) in warning
        assert "cookies" in warning
