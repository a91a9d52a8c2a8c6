"""Cookies in Chromium: the browser also sends them for a page on another port of the host."""

from __future__ import annotations

import asyncio
import json

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from asgi_realtime import (
    Handshake,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    Unauthorized,
    WebSocketGateway,
)
from tests.support.paths import WIRE
from tests.support.servers import Serve

PROGRAM = WIRE.joinpath("cookie_page.mjs")


async def by_cookie(handshake: Handshake) -> Identity:
    if "session" not in handshake.cookies:
        raise Unauthorized(log_reason="no cookie")
    return Identity(user_id=handshake.cookies["session"])


async def page(request: Request) -> Response:
    return HTMLResponse("<!doctype html><title>page</title>")


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("listed", "own", "expected"),
    [
        ("*", False, {"frame": "auth_error", "include": "blocked", "omit": 200}),
        ("*", True, {"frame": "auth_success", "include": 200, "omit": 200}),
        ("http://localhost:*", False, {"frame": "auth_success", "include": 200, "omit": 200}),
        ("https://other.example", False, {"frame": "refused", "include": "blocked", "omit": "blocked"}),
    ],
)
async def test_cookies_authenticate_only_requests_of_trusted_pages(
    serve: Serve, listed: str, own: bool, expected: dict[str, object]
) -> None:
    app = RealtimeMiddleware(
        Starlette(routes=[Route("/", page)]),
        gateways=[SocketIOGateway("/"), WebSocketGateway("/json", authenticator=by_cookie, auth_frame=False)],
        settings=Settings(jwt_secret="a secret for tests that is long enough", cors_origins=(listed,)),
    )
    server = await serve(app)
    elsewhere = await serve(Starlette(routes=[Route("/", page)]))
    address = f"http://localhost:{server.port}"
    process = await asyncio.create_subprocess_exec(
        *("node", str(PROGRAM), address if own else f"http://localhost:{elsewhere.port}", address),
        cwd=PROGRAM.parent,
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0
    assert json.loads(output) == expected
