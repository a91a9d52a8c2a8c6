"""A request with two values of a security header is refused: a proxy may have read the other value."""

from __future__ import annotations

import asyncio

import pytest

from asgi_realtime import InfraGateway, Settings, WebSocketGateway
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.target_app import Target, by_name

GOOD, EVIL = "https://app.example.com", "https://evil.example"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
POLLING, WEBSOCKET = "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket"
DOORS = {
    "polling": ("GET", POLLING, ""),
    "preflight": ("OPTIONS", POLLING, "Access-Control-Request-Method: POST\r\n"),
    "websocket": ("GET", WEBSOCKET, UPGRADE),
    "json": ("GET", "/json", UPGRADE),
}
DOUBLED = {
    "origins, the last good": f"Host: a\r\nOrigin: {EVIL}\r\nOrigin: {GOOD}\r\n",
    "origins, the first good": f"Host: a\r\nOrigin: {GOOD}\r\nOrigin: {EVIL}\r\n",
    "origins, the same": f"Host: a\r\nOrigin: {GOOD}\r\norigin: {GOOD}\r\n",
    "origins, one empty": f"Host: a\r\nOrigin: \r\nOrigin: {GOOD}\r\n",
    "origins, joined": f"Host: a\r\nOrigin: {GOOD}, {EVIL}\r\n",
    "origins, joined by a space": f"Host: a\r\nOrigin: {EVIL} {GOOD}\r\n",
    "hosts, the last own": f"Host: a\r\nHost: evil.example\r\nOrigin: {EVIL}\r\n",
    "hosts, the first own": f"Host: evil.example\r\nHost: a\r\nOrigin: {EVIL}\r\n",
    "hosts, a good origin": f"Host: a\r\nHost: b\r\nOrigin: {GOOD}\r\n",
    "hosts, no origin": "Host: a\r\nHost: b\r\n",
    "authorizations": f"Host: a\r\nOrigin: {GOOD}\r\nAuthorization: Bearer x\r\nAuthorization: Bearer y\r\n",
    "admin secrets": f"Host: a\r\nOrigin: {GOOD}\r\nX-Mew-Admin-Secret: x\r\nX-Mew-Admin-Secret: y\r\n",
}


async def head_of(server: LiveServer, method: str, path: str, lines: str) -> str:
    """The head of the response to raw request bytes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        async with asyncio.timeout(5):
            writer.write(f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode())
            return (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    finally:
        writer.close()


def target(*origins: str) -> Target:
    settings = Settings(
        jwt_secret="a secret for tests that is long enough", admin_secret="x" * 20, cors_origins=origins
    )
    return Target(InfraGateway(), WebSocketGateway("/chat", authenticator=by_name), settings=settings)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("door", DOORS)
async def test_a_doubled_header_is_refused_at_every_entry_point(
    serve: Serve, implementation: Implementation, door: str
) -> None:
    method, path, lines = DOORS[door]
    for origins in ((GOOD,), ("*",), (GOOD, "*")):
        served = target(*origins)
        server = await serve(served.app, implementation)
        good = await head_of(server, method, path, f"Host: a\r\nOrigin: {GOOD}\r\n{lines}")
        assert good.startswith(("http/1.1 200", "http/1.1 101")), good
        for name, doubled in DOUBLED.items():
            head = await head_of(server, method, path, doubled + lines)
            assert head.startswith(("http/1.1 400", "http/1.1 403")), (origins, name, head)
            assert "access-control-allow-origin" not in head, (origins, name, head)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_doubled_header_is_refused_within_a_session(
    serve: Serve, implementation: Implementation, method: str
) -> None:
    served = target(GOOD)
    server = await serve(served.app, implementation)
    await head_of(server, "GET", POLLING, "Host: a\r\n")
    (session,) = served.realtime.engineio.sessions
    for doubled in DOUBLED.values():
        head = await head_of(server, method, f"{POLLING}&sid={session}", f"{doubled}Content-Length: 0\r\n")
        assert head.startswith(("http/1.1 400", "http/1.1 403")), head
    assert list(served.realtime.engineio.sessions) == [session], "the session continues"
    served.realtime.engineio.sessions[session].close(1000, "")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_the_hosts_routes_send_no_cors_headers_for_a_doubled_header(
    serve: Serve, implementation: Implementation
) -> None:
    for origins in ((GOOD,), ("*",)):
        server = await serve(target(*origins).app, implementation)
        assert "access-control-allow-origin" in await head_of(server, "GET", "/state", f"Host: a\r\nOrigin: {GOOD}\r\n")
        for name, doubled in DOUBLED.items():
            for method, lines in (("GET", ""), ("OPTIONS", "Access-Control-Request-Method: POST\r\n")):
                head = await head_of(server, method, "/state", doubled + lines)
                granted = "access-control-allow-origin" in head
                assert not granted or name in ("authorizations", "admin secrets"), (name, head)
