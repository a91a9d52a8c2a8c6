"""What the console answers over HTTP and WebSocket, with and without a login."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any

import httpx
import pytest
import websockets

from asgi_realtime import ConfigurationError, Handshake, RealtimeConsole, RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.console.access import COOKIE, Access
from asgi_realtime.console.login_throttle import OF_ADDRESS
from tests.support.console_app import CONSOLE_SECRET, SETTINGS, create_app
from tests.support.console_client import PATH, cookie, log_in, open_socket
from tests.support.paths import PACKAGE
from tests.support.servers import LiveServer, Serve

FILES = sorted(file.name for file in (PACKAGE / "console" / "page").iterdir())
PUBLIC = {"style.css", "icon.svg"}


@pytest.fixture
async def server(serve: Serve) -> LiveServer:
    return await serve(create_app(SETTINGS))


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as client:
        yield client


def check_headers(headers: Mapping[str, str]) -> None:
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; ")
    assert "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in headers


async def test_without_a_login_there_is_only_the_login_page(server: LiveServer, http: httpx.AsyncClient) -> None:
    page = await http.get(server.url + PATH)
    assert page.status_code == 200 and "<title>Log in" in page.text and "<script" not in page.text
    check_headers(page.headers)
    for name in [*FILES, "nothing.js", "%2e%2e/console.py", ""]:
        answer = await http.get(f"{server.url}{PATH}/{name}")
        check_headers(answer.headers)
        if name in PUBLIC:
            assert answer.status_code == 200
        elif name:
            assert (answer.status_code, answer.text) == (403, "forbidden"), name
        else:
            assert answer.text == page.text


async def test_other_paths_are_the_hosts(server: LiveServer, http: httpx.AsyncClient) -> None:
    for path in ("/", "/realtime-consoles", "/x/realtime-console"):
        assert (await http.get(server.url + path)).text == "the host's page"


async def test_a_login_opens_the_page_and_its_files(server: LiveServer, http: httpx.AsyncClient) -> None:
    answer = await log_in(server.url)
    assert (answer.status_code, answer.headers["location"]) == (303, PATH)
    check_headers(answer.headers)
    name, *flags = answer.headers["set-cookie"].split("; ")
    assert flags == [f"Path={PATH}", "Max-Age=14400", "HttpOnly", "SameSite=Strict"]
    headers = {"cookie": name}
    page = await http.get(server.url + PATH, headers=headers)
    assert f'src="{PATH}/app.js"' in page.text
    linked = [name for name in FILES if f'"{PATH}/{name}"' in page.text]
    assert linked == [name for name in FILES if not name.endswith(".html")]
    for file in FILES:
        answer = await http.get(f"{server.url}{PATH}/{file}", headers=headers)
        check_headers(answer.headers)
        expected = 404 if file.endswith(".html") else 200
        assert answer.status_code == expected, file
    assert (await http.head(server.url + PATH, headers=headers)).status_code == 200
    assert (await http.put(server.url + PATH, headers=headers)).status_code == 405
    assert (await http.get(f"{server.url}{PATH}/login", headers=headers)).status_code == 405

    out = await http.post(f"{server.url}{PATH}/logout", headers={**headers, "origin": server.url})
    assert out.status_code == 303
    assert out.headers["set-cookie"].startswith(f"{COOKIE}=; Path={PATH}; Max-Age=0;")


async def test_behind_a_proxy_with_https_the_cookie_is_secure(server: LiveServer) -> None:
    answer = await log_in(server.url, origin=server.url.replace("http:", "https:"))
    assert answer.headers["set-cookie"].endswith("; SameSite=Strict; Secure")


async def test_below_a_mount_prefix_the_page_knows_its_place(serve: Serve, http: httpx.AsyncClient) -> None:
    url = (await serve(create_app(SETTINGS), root_path="/app")).url
    answer = await log_in(url)
    assert answer.headers["location"] == f"/app{PATH}"
    assert f"; Path=/app{PATH};" in answer.headers["set-cookie"]
    assert f'action="/app{PATH}/login"' in (await http.get(url + PATH)).text


async def test_a_wrong_secret_is_refused_and_then_throttled(
    server: LiveServer, caplog: pytest.LogCaptureFixture
) -> None:
    for attempt in range(OF_ADDRESS.burst):
        answer = await log_in(server.url, f"a wrong secret {attempt}")
        assert answer.status_code == 401 and "set-cookie" not in answer.headers
    for secret in ("a wrong secret", CONSOLE_SECRET):
        answer = await log_in(server.url, secret)
        assert answer.status_code == 429 and "set-cookie" not in answer.headers
        assert 0 < int(answer.headers["retry-after"]) <= OF_ADDRESS.interval
    assert "a wrong secret" in caplog.text  # the reason, and not what was sent
    assert "a wrong secret 0" not in caplog.text and CONSOLE_SECRET not in caplog.text


async def test_right_secrets_are_not_throttled(server: LiveServer, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(2 * OF_ADDRESS.burst):
            assert (await log_in(server.url)).status_code == 303
    records = [each for each in caplog.records if "an operator has logged in from 127.0.0.1" in each.message]
    assert {vars(each)["realtime_gateway"] for each in records} == {"/realtime-console"}
    assert CONSOLE_SECRET not in caplog.text


@pytest.mark.parametrize("origin", [None, "null", "http://evil.example", "http://127.0.0.1:1"])
async def test_a_login_form_of_another_page_is_refused(server: LiveServer, origin: str | None) -> None:
    answer = await log_in(server.url, origin=origin)
    assert answer.status_code == 403 and "set-cookie" not in answer.headers


async def test_a_form_has_a_limit(server: LiveServer) -> None:
    assert (await log_in(server.url, "x" * 5_000)).status_code == 413
    assert (await log_in(server.url, "")).status_code == 401


# The WebSocket


async def refusal(url: str, cookie: str | None, **options: Any) -> tuple[Any, int | None]:
    """Open the WebSocket, which must be refused. Returns the first frame and the close code."""
    async with open_socket(url, cookie, **options) as socket:
        frame = json.loads(await socket.recv())
        await socket.wait_closed()
        return frame["type"], socket.close_code


async def test_the_websocket_needs_a_valid_cookie(server: LiveServer) -> None:
    def made(secret: str = CONSOLE_SECRET, path: str = PATH, ago: float = 0.0) -> str:
        access = Access(secret=secret, check=None, path=path, seconds=14_400, clock=lambda: time.time() - ago)
        return f"{COOKIE}={access.new_cookie()}"

    forged = made()[:-1] + "x"
    for wrong in (None, f"{COOKIE}=x", made("another app's secret"), made(path="/x"), made(ago=14_401), forged):
        assert await refusal(server.url, wrong) == ("auth_error", 1008)
    async with open_socket(server.url, made()) as socket:
        assert json.loads(await socket.recv())["type"] == "auth_success"


async def test_the_websocket_needs_the_origin_of_the_console_itself(serve: Serve) -> None:
    settings = Settings(
        jwt_secret=SETTINGS.jwt_secret, console_secret=CONSOLE_SECRET, cors_origins=("http://app.example",)
    )
    url = (await serve(create_app(settings))).url
    mine = await cookie(url)
    assert await refusal(url, mine, origin=None) == ("auth_error", 1008)
    for origin in ("http://evil.example", "http://app.example", "null"):
        with pytest.raises(websockets.InvalidStatus):
            async with open_socket(url, mine, origin=origin):
                pass


async def test_nothing_but_the_handshake_authenticates(server: LiveServer) -> None:
    async with open_socket(server.url, await cookie(server.url)) as socket:
        await socket.recv()
        await socket.send(json.dumps({"type": "auth", "data": {"token": CONSOLE_SECRET}}))
        assert json.loads(await socket.recv())["data"]["code"] == "UNAUTHORIZED"


# The host's own check


async def test_the_hosts_check_lets_operators_in_without_a_secret(serve: Serve, http: httpx.AsyncClient) -> None:
    def is_operator(handshake: Handshake) -> bool:
        return handshake.cookies.get("who") == "operator"

    settings = Settings(jwt_secret=SETTINGS.jwt_secret)
    url = (await serve(create_app(settings, RealtimeConsole(check=is_operator)))).url
    assert (await http.get(url + PATH)).status_code == 403
    assert (await http.get(f"{url}{PATH}/app.js")).status_code == 403
    assert (await log_in(url, "")).status_code == 403
    headers = {"cookie": "who=operator"}
    assert "app.js" in (await http.get(url + PATH, headers=headers)).text
    assert await refusal(url, "who=guest") == ("auth_error", 1008)
    async with open_socket(url, "who=operator") as socket:
        assert json.loads(await socket.recv())["type"] == "auth_success"


# Mounting


async def host(scope: Any, receive: Any, send: Any) -> None: ...


def mounted(*gateways: Any, settings: Settings | None = None) -> RealtimeMiddleware:
    return RealtimeMiddleware(host, gateways=gateways, settings=settings or Settings(jwt_secret=SETTINGS.jwt_secret))


def test_a_console_needs_a_secret_of_some_length() -> None:
    with pytest.raises(ConfigurationError, match="needs a secret: set MEW_CONSOLE_SECRET"):
        _ = mounted(SocketIOGateway(), RealtimeConsole()).realtime
    with pytest.raises(ConfigurationError, match="at least 16 bytes"):
        _ = mounted(SocketIOGateway(), RealtimeConsole(secret="short")).realtime
    with pytest.raises(ConfigurationError, match="MEW_CONSOLE_SECRET must have at least 16 bytes"):
        Settings(console_secret="short")
    with pytest.raises(ConfigurationError, match="session_seconds"):
        RealtimeConsole(session_seconds=0)
    with pytest.raises(ConfigurationError, match="check"):
        RealtimeConsole(check=lambda: True)  # type: ignore[arg-type, misc]


async def test_a_console_must_not_be_the_first_gateway() -> None:
    realtime = mounted(RealtimeConsole(secret=CONSOLE_SECRET), SocketIOGateway()).realtime
    with pytest.raises(ConfigurationError, match="put it last"):
        await realtime.start()
    await realtime.stop()
