"""The origin policy: who may talk to us, and what the responses say about it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.origins import Origin, OriginPolicy

APP = "https://app.example.com"
HOST = "api.example.com"


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://example.com", "example.com", "http"),
        ("http://example.com", "example.com:80", "http"),
        ("http://example.com:80", "example.com", "ws"),
        ("https://example.com", "example.com:443", "https"),
        ("https://example.com", "example.com", "wss"),
        ("http://localhost:8000", "localhost:8000", "http"),
        ("HTTP://Example.COM", "eXample.com", "http"),
        ("https://example.com", "example.com", "http"),  # TLS ended at a proxy
        ("https://example.com", "example.com:443", "http"),
        ("https://example.com:8443", "example.com:8443", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "http"),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80", "http"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "ws"),
    ],
)
def test_the_own_origin_is_always_allowed(origin: str, host: str, scheme: str) -> None:
    assert OriginPolicy().allows(origin, host=host, scheme=scheme)
    assert OriginPolicy([APP]).allows(origin, host=host, scheme=scheme)


@pytest.mark.parametrize(
    ("origin", "host", "scheme"),
    [
        ("http://evil.example", "example.com", "http"),
        ("http://example.com.evil.example", "example.com", "http"),
        ("http://evil-example.com", "example.com", "http"),
        ("http://sub.example.com", "example.com", "http"),
        ("http://example.com:8001", "example.com:8000", "http"),
        ("http://example.com", "example.com:8000", "http"),
        ("https://example.com", "example.com:80", "http"),
        ("http://example.com", "example.com", "https"),  # a page without TLS, a server with it
        ("http://example.com", "example.com", "wss"),
        ("http://localhost:8000", "127.0.0.1:8000", "http"),
        ("http://[::1]:8000", "[::2]:8000", "http"),
        ("http://example.com", None, "http"),
        ("http://example.com", "", "http"),
        ("http://example.com", "example.com, evil.example", "http"),
        ("http://example.com/", "example.com", "http"),
        ("http://user@example.com", "example.com", "http"),
        ("http://example.com@evil.example", "example.com", "http"),
        ("http://example.com http://evil.example", "example.com", "http"),
        ("http://example.com\n", "example.com", "http"),
        ("ftp://example.com", "example.com", "http"),
        ("file://", "example.com", "http"),
        ("null", "null", "http"),
        ("", "example.com", "http"),
        ("example.com", "example.com", "http"),
        ("http://example.com:99999", "example.com:99999", "http"),
    ],
)
def test_any_other_origin_is_refused_by_default(origin: str, host: str | None, scheme: str) -> None:
    policy = OriginPolicy()
    assert not policy.cross_origin
    assert not policy.allows(origin, host=host, scheme=scheme)
    assert policy.headers(origin, host=host, scheme=scheme) == []
    assert policy.preflight(origin, "POST", None, host=host, scheme=scheme) is None


@pytest.mark.parametrize("policy", [OriginPolicy(), OriginPolicy([APP]), OriginPolicy(["*"])])
def test_a_request_without_origin_goes_on_to_authentication(policy: OriginPolicy) -> None:
    assert policy.allows(None, host=HOST)
    assert policy.allows(None, host=None)


@pytest.mark.parametrize(
    ("configured", "sent"),
    [
        ("https://app.example.com", "https://app.example.com"),
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com:443", "https://app.example.com"),
        ("HTTPS://APP.Example.com", "https://app.example.com"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[2001:db8:0:0::1]:3000", "http://[2001:db8::1]:3000"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_a_listed_origin_is_allowed_and_echoed_as_sent(configured: str, sent: str) -> None:
    policy = OriginPolicy([configured])
    assert policy.cross_origin
    assert policy.allows(sent, host=HOST, scheme="https")
    assert policy.headers(sent, host=HOST, scheme="https") == [
        (b"access-control-allow-origin", sent.encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"vary", b"Origin"),
    ]


@pytest.mark.parametrize(
    "origin", ["http://app.example.com", "https://app.example.com:8443", "https://example.com", "null", "file://"]
)
def test_an_origin_that_is_not_listed_is_refused(origin: str) -> None:
    policy = OriginPolicy([APP])
    assert not policy.allows(origin, host=HOST, scheme="https")
    assert policy.headers(origin, host=HOST, scheme="https") == [(b"vary", b"Origin")]
    assert policy.preflight(origin, "POST", None, host=HOST, scheme="https") is None


@pytest.mark.parametrize("origin", [APP, "http://anything.example:1", "null", "file://"])
def test_the_star_allows_and_echoes_every_origin(origin: str) -> None:
    policy = OriginPolicy(["*"])
    assert policy.allows(origin, host=HOST)
    headers = dict(policy.headers(origin, host=HOST))
    assert headers[b"access-control-allow-origin"] == origin.encode()
    assert headers[b"access-control-allow-credentials"] == b"true"
    assert headers[b"vary"] == b"Origin"


def test_responses_without_an_origin_vary_too() -> None:
    assert OriginPolicy([APP]).headers(None, host=HOST) == [(b"vary", b"Origin")]
    assert OriginPolicy().headers(None, host=HOST) == []


def test_the_own_origin_needs_no_grant() -> None:
    assert OriginPolicy([APP]).headers(f"https://{HOST}", host=HOST) == [(b"vary", b"Origin")]


def test_an_extra_origin_changes_only_the_new_policy() -> None:
    policy = OriginPolicy()
    events = policy.with_extra("http://localhost:5173")
    assert events.allows("http://localhost:5173", host=HOST)
    assert not policy.allows("http://localhost:5173", host=HOST)


def test_a_preflight_grants_what_was_asked_for() -> None:
    answer = OriginPolicy([APP]).preflight(APP, "PATCH", "authorization, X-Request-Id", host=HOST)
    assert answer == [
        (b"access-control-allow-origin", APP.encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-allow-methods", b"PATCH"),
        (b"access-control-allow-headers", b"authorization, X-Request-Id"),
        (b"access-control-max-age", b"600"),
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]


def test_a_preflight_of_the_own_origin_needs_no_grant() -> None:
    answer = OriginPolicy([APP]).preflight(f"https://{HOST}", "PATCH", None, host=HOST)
    assert answer is not None
    assert [name for name, _ in answer] == [b"vary"]


def test_a_preflight_echoes_only_names() -> None:
    answer = OriginPolicy([APP]).preflight(APP, "PO ST", "good, b\u00e4d, , also bad,x-good", host=HOST)
    assert answer is not None
    assert b"access-control-allow-methods" not in dict(answer)
    assert dict(answer)[b"access-control-allow-headers"] == b"good, x-good"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "app.example.com",
        "https://",
        "https://*.example.com",
        "https://a.example/path",
        "https://[::1",
        "https://a.example:x",
        "null",
    ],
)
def test_a_configured_text_that_is_no_origin_fails_at_start_up(text: str) -> None:
    with pytest.raises(ConfigurationError, match="MEW_CORS_ORIGINS"):
        OriginPolicy([text])


@given(st.text() | st.from_regex(r"https?://[a-z.\[\]:0-9@/]*"), st.text() | st.from_regex(r"[a-z.:0-9]*"))
def test_no_text_is_an_error(origin: str, host: str) -> None:
    for policy in (OriginPolicy(), OriginPolicy([APP]), OriginPolicy(["*"])):
        allowed = policy.allows(origin, host=host)
        headers = policy.headers(origin, host=host)
        assert all(b"\r" not in value and b"\n" not in value for _, value in headers)
        assert allowed or (b"access-control-allow-origin", origin.encode("latin-1", "replace")) not in headers


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5}){0,2}", fullmatch=True), st.integers(0, 65535))
def test_parsing_is_stable(host: str, port: int) -> None:
    origin = Origin.parse(f"https://{host.upper()}:{port}")
    assert origin == ("https", host, port)
