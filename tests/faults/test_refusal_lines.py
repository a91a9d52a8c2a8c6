"""Any number of refusals for one reason is one log line with the reason and without secrets."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import httpx
import pytest
from fastapi import HTTPException
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from asgi_realtime import (
    ChatGateway,
    Connection,
    Disconnect,
    EventsGateway,
    Handshake,
    Identity,
    InfraGateway,
    JobsGateway,
    Limits,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    Unauthorized,
    WebSocketGateway,
    create_token,
)
from tests.support.attackers import enter
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client, receive_json
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve

SETTINGS = Settings(
    jwt_secret="a secret for tests that is long enough",
    jwt_audience="us",
    admin_secret="an admin secret of the host",
    ws_auth_token="a token that clients share",
    cors_origins=("https://app.example.com",),
)
EVIL = "https://evil.example"
TIMES = 4
"""How often each refusal is tried."""
Attempt: TypeAlias = Callable[[LiveServer], Awaitable[object]]


def token(user: str = "ann", **claims: Any) -> str:
    return create_token(user, SETTINGS, **claims)


def made(*, secret: str, **claims: Any) -> str:
    return create_token("ann", Settings(jwt_secret=secret), aud="us", **claims)


TOKENS = {
    "the token has expired": token(exp=1),
    "the token is not valid yet": token(nbf=4_000_000_000),
    "the token is for another audience": token(aud="them"),
    "the token lacks a claim": create_token("ann", Settings(jwt_secret=SETTINGS.jwt_secret)),
    "the token's signature": made(secret="another secret that is long enough!"),
    "the token's algorithm": "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ.",
    "the token is no JWT": "opaque-and-secret",
    "the token has no user id": token(sub={"a": 1}),
    "the token is revoked": token("banned"),
}


class Site(SocketIOGateway):
    """Refuses clients in each way that a host can."""

    async def on_connect(self, connection: Connection) -> None:
        how = connection.handshake.query.get("how")
        if how == "refusal":
            raise Refusal("you, ann@example.com, may not", code="BANNED")
        if how == "disconnect":
            raise Disconnect(4003, "ann@example.com is out")
        if how == "http":
            raise HTTPException(403, "ann@example.com may not")


async def by_device(handshake: Handshake) -> Identity:
    raise Unauthorized(log_reason="no such device")


async def nothing(request: Request) -> Response:
    return PlainTextResponse("nothing")


def site(**limits: Any) -> RealtimeMiddleware:
    sio = SocketIOServer(namespaces=["/sio"])
    sio.on("connect", lambda sid, environ, auth: False, namespace="/sio")

    class ChatService:
        async def groups_of(self, identity: Identity) -> list[str]:
            return []

        async def save_message(self, *_: Any) -> Any: ...

        async def mark_read(self, *_: Any) -> None: ...

    return RealtimeMiddleware(
        Starlette(routes=[Route("/", nothing)]),
        gateways=[
            Site("/"),
            SocketIOGateway("/devices", authenticator=by_device),
            InfraGateway(),
            EventsGateway(),
            WebSocketGateway("/json"),
            ChatGateway(service=ChatService()),
            JobsGateway(),
            sio,
        ],
        settings=Settings(
            jwt_secret=SETTINGS.jwt_secret,
            jwt_audience="us",
            admin_secret=SETTINGS.admin_secret,
            ws_auth_token=SETTINGS.ws_auth_token,
            cors_origins=SETTINGS.cors_origins,
            limits=Limits(**limits),
        ),
    )


def lines_of(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        if record.name == "asgi_realtime" and record.levelno >= logging.INFO
    ]


def get(path: str, *, method: str = "GET", **headers: str) -> Attempt:
    async def attempt(server: LiveServer) -> None:
        async with httpx.AsyncClient() as http:
            sent = {name.replace("_", "-"): value for name, value in headers.items()}
            response = await http.request(method, server.url + path, headers=sent)
            if path != "/":
                assert response.status_code >= 400

    return attempt


def socket(path: str, origin: str | None = None, *frames: str) -> Attempt:
    async def attempt(server: LiveServer) -> None:
        with contextlib.suppress(InvalidStatus, ConnectionClosed):
            async with connect(server.websocket_url + path, origin=Origin(origin) if origin else None) as client:
                for frame in frames:
                    await client.send(frame)
                while True:
                    await client.recv()

    return attempt


def namespace(
    name: str, auth: Any = None, *, query: str = "", transport: TransportName = "websocket", **headers: str
) -> Attempt:
    async def attempt(server: LiveServer) -> None:
        port = server.port
        fixed = LiveServer(port, server.stop)
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        async with raw_client(fixed, transport, headers=sent) as client:
            prefix = "" if name == "/" else f"{name},"
            await client.send(f"0{prefix}" + ("" if auth is None else json.dumps(auth)))
            assert str(await client.receive()).startswith("4")

    async def with_query(server: LiveServer) -> None:
        async with connect(f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket{query}") as client:
            await client.recv()
            await client.send(f"40{json.dumps(auth)}")
            assert str(await client.recv()).startswith("44")

    return with_query if query else attempt


POLLING, WEBSOCKET = "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket"
ORIGIN = f"the origin {EVIL} is neither in MEW_CORS_ORIGINS"
DOORS: dict[str, tuple[Attempt, str]] = {
    "polling, origin": (get(POLLING, Origin=EVIL), f"/socket.io refused a client: {ORIGIN}"),
    "preflight, origin": (
        get(POLLING, method="OPTIONS", Origin=EVIL, Access_Control_Request_Method="POST"),
        f"/socket.io refused a client: {ORIGIN}",
    ),
    "websocket, origin": (socket(WEBSOCKET, EVIL), f"/socket.io refused a client: {ORIGIN}"),
    "json, origin": (socket("/json", EVIL), f"/json refused a client: {ORIGIN}"),
    "rest, origin": (get("/", Origin=EVIL), f"CORS refused a client: {ORIGIN}"),
    "rest, preflight": (
        get("/", method="OPTIONS", Origin=EVIL, Access_Control_Request_Method="POST"),
        f"CORS refused a client: {ORIGIN}",
    ),
    "namespace, origin": (
        namespace("/", {"token": token()}, Origin="http://localhost:5173"),
        "/ refused a client: the origin http://localhost:5173 is neither",
    ),
    "transport": (get("/socket.io/?EIO=4&transport=telepathy"), "a transport that is not offered"),
    "no transport": (socket("/socket.io/?EIO=4"), "a transport that is not offered"),
    "version": (get("/socket.io/?EIO=3&transport=polling"), "a version of Engine.IO other than 4"),
    "version, websocket": (socket("/socket.io/?EIO=3&transport=websocket"), "a version of Engine.IO other than 4"),
    "session": (get(f"{POLLING}&sid=opaque-and-secret"), "unknown session id"),
    "session, websocket": (socket(f"{WEBSOCKET}&sid=opaque-and-secret"), "unknown session id"),
    "method": (get(POLLING, method="PUT"), "an HTTP method"),
    "other transport": (get(WEBSOCKET), "a request of one transport that names the other"),
    "unknown namespace": (namespace("/unheard-of", {"token": token()}), "not mounted (/unheard-of)"),
    "no token": (namespace("/"), "/ refused a client: no token"),
    "no token, polling": (namespace("/", transport="polling"), "/ refused a client: no token"),
    "no token, events": (namespace("/events"), "/events refused a client: no token"),
    "no token, jobs": (socket("/ws"), "/ws refused a client: no token"),
    "token of a wrong type": (namespace("/", {"token": 5}), "the token is no text"),
    "admin, none": (namespace("/infra", {"serviceType": "bot"}), "/infra refused a client: no admin secret"),
    "admin, wrong": (
        namespace("/infra", {"adminSecret": "opaque-and-secret", "serviceType": "bot"}),
        "/infra refused a client: a wrong admin secret",
    ),
    "admin, type": (namespace("/infra", {"adminSecret": SETTINGS.admin_secret}), "no service type"),
    "own authenticator": (namespace("/devices"), "/devices refused a client: no such device"),
    "host, refusal": (namespace("/", {"token": token()}, query="&how=refusal"), "refused it (BANNED)"),
    "host, disconnect": (namespace("/", {"token": token()}, query="&how=disconnect"), "closed it with 4003"),
    "host, HTTP error": (namespace("/", {"token": token()}, query="&how=http"), "refused it (FORBIDDEN)"),
    "python-socketio": (namespace("/sio"), "/sio refused a client: the application refused it"),
    "json, too large": (socket("/json", None, "x" * 20_000), "before authentication: too large"),
    "json, no JSON": (socket("/json", None, "{"), "before authentication:"),
    "json, token": (
        socket("/json", None, '{"type":"auth","data":{"token":"opaque-and-secret"}}'),
        "/json refused a client: the token is no JWT",
    ),
    "chat, token": (socket("/chat?token=opaque-and-secret"), "/chat refused a client: the token is no JWT"),
    "jobs, token": (socket("/ws?token=opaque-and-secret"), "/ws refused a client: the token is no JWT"),
}


@pytest.mark.parametrize("door", DOORS)
async def test_repeated_refusals_are_logged_in_one_line(
    serve: Serve, door: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    attempt, expected = DOORS[door]
    server = await serve(site())
    for _ in range(TIMES):
        await attempt(server)
    (line,) = lines_of(caplog)
    assert expected in line
    for secret in ("opaque-and-secret", "ann@example.com", *TOKENS.values(), str(SETTINGS.admin_secret)):
        assert secret not in caplog.text


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_repeated_refusals_are_logged_in_one_line_on_every_server(
    serve: Serve, implementation: Implementation, transport: TransportName, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    server = await serve(site(), implementation)
    attempts = [
        get(POLLING, Origin=EVIL) if transport == "polling" else socket(WEBSOCKET, EVIL),
        namespace("/", {"token": "opaque-and-secret"}, transport=transport),
        socket("/json", EVIL),
    ]
    for _ in range(TIMES):
        for attempt in attempts:
            await attempt(server)
    # At start-up, a warning about the server itself is logged for some of these.
    assert len([line for line in lines_of(caplog) if " refused a client: " in line]) == len(attempts)


@pytest.mark.parametrize("reason", TOKENS)
async def test_the_reason_a_token_was_refused_is_logged_in_one_line(
    serve: Serve, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    app = site()
    server = await serve(app)
    await app.broadcaster.revoke_user("banned")
    for _ in range(TIMES):
        await namespace("/", {"token": TOKENS[reason]})(server)
    await socket(f"/json?token={TOKENS[reason]}")(server)
    lines = lines_of(caplog)
    assert len(lines) == 2
    assert lines[0].startswith("/ refused") and lines[1].startswith("/json refused")
    for line in lines:
        assert reason in line
        assert TOKENS[reason] not in line


async def test_a_refused_token_refresh_is_logged_in_one_line(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    server = await serve(site())
    async with raw_client(server, "websocket") as client:
        await enter(client, {"token": token()})
        for new in (TOKENS["the token has expired"], token("ben")):
            await client.send(f'21["auth/refresh",{json.dumps({"token": new})}]')
            assert (await receive_json(client, "31"))[0]["code"] == "UNAUTHORIZED"
    assert [line.partition(": ")[2] for line in lines_of(caplog)] == [
        "the token has expired",
        "a new token of another user",
    ]


@pytest.mark.parametrize(
    ("limits", "expected", "attempt"),
    [
        ({"sessions": 1}, "as many transports as MEW_SESSIONS allows", get(POLLING)),
        ({"sessions_per_address": 1}, "of one address as MEW_SESSIONS_PER_ADDRESS", get(POLLING)),
        ({"connections_per_user": 1}, "too many connections of one user", namespace("/", {"token": token()})),
    ],
)
async def test_refusals_over_a_connection_limit_are_logged_in_one_line(
    serve: Serve, limits: dict[str, Any], expected: str, attempt: Attempt, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    server = await serve(site(**limits))
    async with raw_client(server, "websocket") as client:
        await enter(client, {"token": token()})
        for _ in range(TIMES):
            await attempt(server)
    (line,) = lines_of(caplog)
    assert expected in line


@pytest.mark.parametrize("limits", [{"sessions": 1}, {"sessions_per_address": 1}])
async def test_refusals_over_the_limit_of_a_json_gateway_are_logged_in_one_line(
    serve: Serve, limits: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    server = await serve(site(**limits))
    async with connect(f"{server.websocket_url}/json?token={token()}") as client:
        await client.recv()
        for _ in range(TIMES):
            await socket("/json")(server)
    (line,) = lines_of(caplog)
    assert line.startswith("/json refused a client: as many connections")


async def test_authentication_timeouts_are_logged_in_one_line(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    server = await serve(site(connect_timeout=0.1))
    for _ in range(TIMES):
        await socket("/json")(server)
        await socket(WEBSOCKET)(server)
    assert sorted(lines_of(caplog)) == [
        "/json refused a client: no auth frame in time",
        "Socket.IO refused a client: no CONNECT in time",
    ]


async def test_a_served_request_logs_no_line(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "asgi_realtime")
    server = await serve(site())
    async with raw_client(server, "polling", headers={"Origin": server.url}) as client:
        await enter(client, {"token": token()})
    async with connect(f"{server.websocket_url}/json?token={token()}", origin=Origin(server.url)) as json_client:
        await json_client.recv()
    async with httpx.AsyncClient() as http:
        for origin in (server.url, "https://app.example.com"):
            assert (await http.get(server.url, headers={"Origin": origin})).status_code == 200
    assert lines_of(caplog) == []
