"""Trusted proxies: whose forwarded headers decide the address that a browser sent its request to."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_realtime import ConfigurationError, RealtimeMiddleware, Settings
from asgi_realtime.auth.trusted_proxies import TrustedProxies
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve

HOST = (b"host", b"internal:8000")
PEER = ("10.0.0.5", 40000)


def address(
    *headers: tuple[bytes, bytes],
    peers: tuple[str, ...] = ("10.0.0.0/8",),
    client: tuple[str, int] | None = PEER,
    kind: str = "http",
    scheme: str = "http",
) -> tuple[str | None, str]:
    scope: dict[str, Any] = {"type": kind, "scheme": scheme, "client": client, "headers": [HOST, *headers]}
    return TrustedProxies(peers).address(scope)


NAMED = (
    (b"x-forwarded-host", b"app.example"),
    (b"x-forwarded-port", b"8443"),
    (b"x-forwarded-proto", b"https"),
)


@pytest.mark.parametrize(
    ("peers", "client"),
    [
        (("10.0.0.5",), PEER),
        (("10.0.0.0/8",), PEER),
        (("10.0.0.9/8",), PEER),
        (("192.0.2.1", "10.0.0.5"), PEER),
        (("10.0.0.5",), ("::ffff:10.0.0.5", 40000)),
        (("2001:db8::/32",), ("2001:db8::7", 40000)),
        (("*",), ("198.51.100.7", 40000)),
        (("*",), None),
    ],
)
def test_forwarded_headers_of_a_listed_peer_are_used(peers: tuple[str, ...], client: tuple[str, int] | None) -> None:
    assert address(*NAMED, peers=peers, client=client) == ("app.example:8443", "https")


@pytest.mark.parametrize(
    ("peers", "client"),
    [
        ((), PEER),
        (("10.0.0.6",), PEER),
        (("10.0.0.0/8",), ("11.0.0.5", 40000)),
        (("10.0.0.0/8",), ("::1", 40000)),
        (("10.0.0.0/8",), ("testclient", 50000)),
        (("10.0.0.0/8",), ("198.51.100.7", 0)),  # no X-Forwarded-For: the server has not replaced the address
        (("10.0.0.0/8",), None),
    ],
)
def test_forwarded_headers_of_an_unlisted_peer_are_ignored(
    peers: tuple[str, ...], client: tuple[str, int] | None
) -> None:
    assert address(*NAMED, peers=peers, client=client) == ("internal:8000", "http")


def test_forwarded_headers_are_used_if_the_server_has_replaced_the_address() -> None:
    forwarded = (b"x-forwarded-for", b"198.51.100.7")
    assert address(*NAMED, forwarded, client=("198.51.100.7", 0)) == ("app.example:8443", "https")
    # The server has not replaced this address (its port is not 0): the client only claims to be behind a proxy.
    assert address(*NAMED, forwarded, client=("198.51.100.7", 40000)) == ("internal:8000", "http")


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([(b"x-forwarded-host", b"app.example")], "app.example"),
        ([(b"x-forwarded-host", b"app.example:8443"), (b"x-forwarded-port", b"80")], "app.example:8443"),
        ([(b"x-forwarded-host", b"[2001:db8::1]"), (b"x-forwarded-port", b"8443")], "[2001:db8::1]:8443"),
        ([(b"x-forwarded-host", b"evil.example, app.example")], "app.example"),
        ([(b"x-forwarded-host", b"evil.example"), (b"x-forwarded-host", b"app.example")], "app.example"),
        ([(b"x-forwarded-host", b"app.example"), (b"x-forwarded-port", b"1, 8443")], "app.example:8443"),
        ([(b"x-forwarded-port", b"8443")], "internal:8000"),
        ([(b"x-forwarded-host", b"")], "internal:8000"),
        ([(b"x-forwarded-host", b"a b")], "internal:8000"),
        ([(b"x-forwarded-host", b"user@app.example")], "internal:8000"),
        ([(b"x-forwarded-host", b"app.example/x")], "internal:8000"),
        ([(b"x-forwarded-host", b"app.example"), (b"x-forwarded-port", b"x")], "app.example"),
        ([(b"forwarded", b"host=evil.example;proto=https")], "internal:8000"),
    ],
)
def test_the_host_is_read_from_the_forwarded_headers(headers: list[tuple[bytes, bytes]], expected: str) -> None:
    assert address(*headers)[0] == expected


@pytest.mark.parametrize("proto", [b"https", b"HTTPS", b"wss", b"http, https"])
def test_the_scheme_is_read_from_the_forwarded_headers(proto: bytes) -> None:
    assert address((b"x-forwarded-proto", proto))[1] == "https"
    assert address((b"x-forwarded-proto", proto), kind="websocket", scheme="ws")[1] == "wss"
    assert address((b"x-forwarded-proto", b"gopher"), scheme="https")[1] == "https"


@pytest.mark.parametrize("text", ["proxy", "10.0.0.256", "10.0.0.0/33", "", "10.0.0.5:80"])
def test_a_wrong_setting_names_its_variable(text: str) -> None:
    with pytest.raises(ConfigurationError, match="MEW_TRUSTED_PROXIES"):
        Settings(trusted_proxies=(text,))


# On servers


async def seen(request: Request) -> Response:
    return JSONResponse([request.headers["host"], request.url.scheme])


FORWARDED = {"X-Forwarded-Host": "app.example", "X-Forwarded-Port": "8443", "X-Forwarded-Proto": "https"}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("replaced", [{}, {"X-Forwarded-For": "198.51.100.7"}], ids=["direct", "replaced"])
@pytest.mark.parametrize("trusted", [("127.0.0.0/8",), ("*",), (), ("10.0.0.5",)])
async def test_the_same_origin_is_decided_by_the_headers_of_trusted_peers_only(
    serve: Serve, implementation: Implementation, replaced: dict[str, str], trusted: tuple[str, ...]
) -> None:
    settings = Settings(
        jwt_secret="a secret for tests that is long enough",
        cors_origins=("https://other.example",),
        trusted_proxies=trusted,
    )
    app = RealtimeMiddleware(Starlette(routes=[Route("/seen", seen)]), settings=settings)
    server = await serve(app, implementation)
    # By default uvicorn trusts a peer on 127.0.0.1 and replaces its address.
    headers_are_used = trusted in (("127.0.0.0/8",), ("*",)) or bool(
        trusted and replaced and implementation != "hypercorn"
    )
    async with httpx.AsyncClient(base_url=server.url, headers=FORWARDED | replaced) as http:
        for method, requested in (("GET", {}), ("OPTIONS", {"Access-Control-Request-Method": "POST"})):
            for origin, good in (
                ("https://app.example:8443", headers_are_used),
                ("https://app.example", False),
                ("http://app.example:8443", False),
                # uvicorn by default takes the forwarded scheme from 127.0.0.1, so this origin without TLS is foreign.
                (server.url, not headers_are_used and implementation == "hypercorn"),
            ):
                response = await http.request(
                    method, "/socket.io/?EIO=4&transport=polling", headers={"Origin": origin, **requested}
                )
                assert response.status_code == (200 if good else 403), (origin, method)
        route = await http.get("/seen", headers={"Origin": "https://app.example:8443"})
        assert route.json()[0] == f"127.0.0.1:{server.port}", "requests of the host are unchanged"


def test_a_request_with_two_host_headers_stays_as_it_was() -> None:
    headers = [HOST, (b"host", b"another"), *NAMED]
    scope: dict[str, Any] = {"type": "http", "scheme": "http", "client": PEER, "headers": list(headers)}
    TrustedProxies(["10.0.0.0/8"]).rewrite(scope)
    assert (scope["headers"], scope["scheme"]) == (headers, "http")
