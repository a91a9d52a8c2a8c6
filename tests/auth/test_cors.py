"""The shared CORS policy on responses that may have CORS headers already."""

from __future__ import annotations

from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from asgi_realtime.auth.cors import SharedCORS
from asgi_realtime.auth.origins import OriginPolicy

ORIGIN = b"https://api.example"
ALLOW, CREDENTIALS, VARY = b"access-control-allow-origin", b"access-control-allow-credentials", b"vary"


async def answer(
    *headers: tuple[bytes, bytes],
    origin: bytes = ORIGIN,
    method: str = "GET",
    requested: tuple[tuple[bytes, bytes], ...] = (),
    status: int = 200,
) -> tuple[int, list[tuple[bytes, bytes]], bytes]:
    """The status, headers and body that a browser gets if the host responds with these headers."""

    async def host(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        await send({"type": "http.response.body", "body": b"two"})

    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("the body of the request is not read")

    cors = SharedCORS(host, OriginPolicy([ORIGIN.decode()]))
    scope = {"type": "http", "method": method, "scheme": "https", "headers": [(b"origin", origin), *requested]}
    assert cors.applies_to(scope)
    await cors(scope, receive, send)
    assert [message["type"] for message in sent].count("http.response.start") == 1
    assert not sent[-1].get("more_body")
    body = b"".join(message["body"] for message in sent[1:])
    return sent[0]["status"], list(sent[0]["headers"]), body


async def test_cors_headers_are_added_where_the_host_sends_none() -> None:
    status, headers, body = await answer((b"x-mine", b"1"), status=404)
    assert (status, body) == (404, b"onetwo")
    assert headers == [(b"x-mine", b"1"), (ALLOW, ORIGIN), (CREDENTIALS, b"true"), (VARY, b"Origin")]


@pytest.mark.parametrize("vary", [b"Accept", b"origin", b"Accept, Origin"])
async def test_origin_is_added_once_to_the_hosts_vary_header(vary: bytes) -> None:
    _, headers, _ = await answer((b"Vary", vary))
    joined = [value for name, value in headers if name.lower() == VARY]
    assert len(joined) == 1
    assert b"".join(joined).lower().count(b"origin") == 1


async def test_cors_headers_of_the_host_are_left_unchanged() -> None:
    own = ((b"Access-Control-Allow-Origin", b"*"), (b"vary", b"Accept"))
    assert (await answer(*own))[1] == list(own)


async def test_incomplete_cors_headers_of_the_host_are_completed_without_duplicates() -> None:
    # Starlette's CORSMiddleware sends this to an origin that it does not allow.
    _, headers, _ = await answer(
        (b"Access-Control-Allow-Credentials", b"true"), (b"access-control-expose-headers", b"x")
    )
    names = [name.lower() for name, _ in headers]
    assert sorted(names) == sorted([ALLOW, CREDENTIALS, VARY, b"access-control-expose-headers"])


async def test_a_foreign_origin_gets_only_the_vary_header() -> None:
    for origin in (b"https://foreign.example", b"null", b"\xff", b""):
        _, headers, _ = await answer(origin=origin)
        assert headers == [(VARY, b"Origin")]


async def test_a_preflight_is_answered_unless_the_host_answers_it_or_the_origin_is_foreign() -> None:
    requested = ((b"access-control-request-method", b"PUT"), (b"access-control-request-headers", b"x-mine"))
    status, headers, body = await answer(method="OPTIONS", requested=requested, status=405)
    assert (status, body) == (200, b"")
    assert dict(headers)[ALLOW] == ORIGIN
    assert len(dict(headers)) == len(headers)
    own = ((ALLOW, ORIGIN),)
    assert await answer(*own, method="OPTIONS", requested=requested) == (200, list(own), b"onetwo")
    status, headers, body = await answer(
        method="OPTIONS", requested=requested, origin=b"https://foreign.example", status=405
    )
    assert (status, body) == (405, b"onetwo")
    assert not any(name.startswith(b"access-control") for name, _ in headers)


def test_shared_cors_ignores_requests_without_origin_and_empty_policies() -> None:
    async def host(scope: Scope, receive: Receive, send: Send) -> None: ...

    assert not SharedCORS(host, OriginPolicy([])).applies_to({"headers": [(b"origin", ORIGIN)]})
    assert not SharedCORS(host, OriginPolicy(["*"])).applies_to({"headers": []})
