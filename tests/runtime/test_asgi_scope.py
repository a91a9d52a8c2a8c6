from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.transports.request import Request


def scope(query: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> dict[str, Any]:
    return {
        "type": "http",
        "method": "GET",
        "scheme": "http",
        "path": "/socket.io/",
        "query_string": query,
        "headers": headers or [],
        "client": ("203.0.113.9", 4711),
    }


def test_a_handshake_holds_what_the_client_presented() -> None:
    headers = [(b"Host", b"example.com"), (b"x-a", b"1"), (b"x-a", b"2"), (b"cookie", b"a=1; b=2"), (b"cookie", b"c=3")]
    handshake = Request(scope(b"EIO=4&token=a%20b&flag", headers)).handshake()
    assert handshake.headers == {"host": "example.com", "x-a": "2", "cookie": "a=1; b=2; c=3"}
    assert handshake.query == {"EIO": "4", "token": "a b", "flag": ""}
    assert handshake.cookies == {"a": "1", "b": "2", "c": "3"}
    assert handshake.client_address == "203.0.113.9"
    assert handshake.path == "/socket.io/"


@pytest.mark.parametrize(
    ("query", "redacted"),
    [
        (b"EIO=4&transport=polling&t=abc&sid=xyz&b64=1&j=0", b"EIO=4&transport=polling&t=abc&sid=redacted&b64=1&j=0"),
        (b"EIO=4&token=secret&transport=polling", b"EIO=4&token=redacted&transport=polling"),
        (b"adminSecret=s=e=c&EIO=4", b"adminSecret=redacted&EIO=4"),
        (b"secret", b"redacted"),
        (b"c2VjcmV0Cg==", b"redacted"),
        (b"c2VjcmV0Cg=a", b"redacted"),
        (b"%45IO=secret", b"redacted"),
        (
            b"EIO=secret&transport=secret&t=a.longer_token-than-19&b64=secret&j=secret",
            b"EIO=redacted&transport=redacted&t=redacted&b64=redacted&j=redacted",
        ),
        (b"t=1795881282.5220559&EIO=&=secret", b"t=1795881282.5220559&redacted&redacted"),
        (b"", b""),
    ],
)
def test_servers_log_the_query_without_what_may_be_secret(query: bytes, redacted: bytes) -> None:
    requested = scope(query)
    Request(requested)
    assert requested["query_string"] == redacted


@given(st.text("ab=&;/.", max_size=20))
def test_a_query_without_escapes_is_read_as_one_with_escapes(text: str) -> None:
    escaped = text.replace("a", "%61") + "&%61"
    assert Request(scope(f"{text}&a".encode())).query == Request(scope(escaped.encode())).query


@given(st.binary())
def test_any_query_can_be_read(query: bytes) -> None:
    Request(scope(query)).handshake()
