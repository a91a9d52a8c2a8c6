"""The origin policy: which origins are allowed, and the CORS headers of responses."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asgi_realtime.auth.origin_patterns import Origin
from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.settings import Settings

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
        ("https://example.com", "example.com", "http"),  # a proxy terminates TLS
        ("https://example.com", "example.com:443", "http"),
        ("https://example.com:8443", "example.com:8443", "ws"),
        ("http://[::1]:8000", "[::1]:8000", "http"),
        ("http://[::1]", "[0:0:0:0:0:0:0:1]:80", "http"),
        ("http://127.0.0.1:8000", "127.0.0.1:8000", "ws"),
    ],
)
def test_the_same_origin_is_always_allowed(origin: str, host: str, scheme: str) -> None:
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
        ("http://example.com", "example.com", "https"),  # the page came without TLS, the server uses it
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
    assert policy.headers(origin) == []
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
    assert policy.headers(sent) == [
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
    assert policy.headers(origin) == [(b"vary", b"Origin")]
    assert policy.preflight(origin, "POST", None, host=HOST, scheme="https") is None


@pytest.mark.parametrize("origin", [APP, "http://anything.example:1", "null", "file://"])
def test_the_star_allows_every_origin_without_credentials(origin: str) -> None:
    policy = OriginPolicy(["*"])
    assert policy.is_open
    assert policy.allows(origin, host=HOST)
    assert not policy.trusts(origin, host=HOST)
    assert policy.headers(origin) == [(b"access-control-allow-origin", b"*"), (b"vary", b"Origin")]
    preflight = policy.preflight(origin, "POST", None, host=HOST)
    assert preflight is not None
    assert b"access-control-allow-credentials" not in dict(preflight)


@pytest.mark.parametrize(
    "origin", ["", "app.example.com", f"{APP}, https://evil.example", f"{APP} ", "NULL", "null, null"]
)
def test_the_star_allows_only_valid_origins(origin: str) -> None:
    policy = OriginPolicy(["*"])
    assert not policy.allows(origin, host=HOST)
    assert policy.headers(origin) == [(b"vary", b"Origin")]


@pytest.mark.parametrize(
    ("listed", "trusted"),
    [
        (["*"], []),
        (["*", APP], [APP]),
        (["*", "https://*.example.com"], [APP]),
        (["https://*"], []),
        (["https://*.com"], []),
        (["https://*.example.com"], [APP]),
        ([APP, "null", "file://"], [APP]),
    ],
)
def test_credentials_are_allowed_to_trusted_origins_only(listed: list[str], trusted: list[str]) -> None:
    policy = OriginPolicy(listed)
    own = f"https://{HOST}"
    for origin in (APP, "https://app.example.org", "null", "file://"):
        if not policy.allows(origin, host=HOST, scheme="https"):
            continue
        assert policy.trusts(origin, host=HOST, scheme="https") == (origin in trusted), origin
        granted = dict(policy.headers(origin))
        assert (b"access-control-allow-credentials" in granted) == (origin in trusted)
        if origin in trusted:
            assert granted[b"access-control-allow-origin"] == origin.encode()
    for same in (None, own):
        assert policy.trusts(same, host=HOST, scheme="https")


# Patterns


@pytest.mark.parametrize(
    ("pattern", "matching", "foreign"),
    [
        (
            "https://*.example.com",
            [
                "https://a.example.com",
                "https://a.b.example.com",
                "https://PR-12.Example.COM",
                "https://x.example.com:443",
            ],
            [
                *("https://example.com", "https://evil-example.com", "https://evilexample.com", "https://.example.com"),
                *("https://a.example.com.evil.com", "http://a.example.com", "https://a.example.com:8443"),
                *("https://a.example.com@evil.com", "https://evil.com@a.example.com", "https://a.example.com/"),
                *("https://evil.com/.example.com", "https://evil.com#.example.com", "https://evil.com?.example.com"),
                *("https://evil.com\\.example.com", "https://evil.com:443.example.com", "https://a.example.comx"),
                *("https://evil.com, https://a.example.com", "https://evil.com .example.com", "null", ""),
                *("https://a.example.com\n", "https://a\x00.example.com", "https://*.example.com"),
            ],
        ),
        ("https://*.example.com:8443", ["https://a.example.com:8443"], ["https://a.example.com"]),
        ("https://*.example.com:*", ["https://a.example.com:8443", "https://a.example.com"], ["http://a.example.com"]),
        (
            "http://localhost:*",
            ["http://localhost", "http://localhost:4173", "http://LOCALHOST:1", "http://localhost:65535"],
            ["https://localhost:4173", "http://localhost.evil.com:1", "http://evil-localhost:1", "http://localhost:x"],
        ),
        ("http://127.0.0.1:*", ["http://127.0.0.1:5173"], ["http://127.0.0.10:5173", "http://localhost:5173"]),
        ("http://[::1]:*", ["http://[0:0::1]:5173"], ["http://[::2]:5173"]),
        ("https://*.b\u00fccher.example", ["https://a.xn--bcher-kva.example"], ["https://a.bcher.example"]),
        ("https://*", ["https://anything.example", "https://[::1]"], ["http://anything.example", "null", "file://"]),
        ("https://*:*", ["https://anything.example:1"], ["http://anything.example"]),
        ("chrome-extension://*", ["chrome-extension://abcdef"], ["moz-extension://abcdef"]),
    ],
)
@pytest.mark.parametrize("form", [str, str.upper, lambda text: text + "/"])
def test_a_pattern_allows_matching_origins_and_no_others(
    pattern: str, matching: list[str], foreign: list[str], form: Callable[[str], str]
) -> None:
    policy = OriginPolicy([form(pattern)])
    for origin in matching:
        assert policy.allows(origin, host=HOST, scheme="https"), origin
        assert (b"access-control-allow-origin", origin.encode()) in policy.headers(origin)
    for origin in foreign:
        assert not policy.allows(origin, host=HOST, scheme="https"), origin
        assert policy.headers(origin) == [(b"vary", b"Origin")]


@pytest.mark.parametrize(
    "origin",
    ["null", "file://", "capacitor://localhost", "ionic://localhost", "app://", "app://.", "chrome-extension://a"],
)
def test_origins_of_native_apps_are_allowed_only_if_listed_exactly(origin: str) -> None:
    for policy in (OriginPolicy([origin]), OriginPolicy([origin, APP])):
        assert policy.allows(origin, host=HOST)
        assert dict(policy.headers(origin))[b"access-control-allow-origin"] == origin.encode()
    assert OriginPolicy([f"{origin}/"] if origin != "null" else [origin]).allows(origin, host=HOST)
    assert not OriginPolicy([APP, "https://*"]).allows(origin, host=HOST)


@pytest.mark.parametrize(
    ("regex", "matching", "foreign", "is_open"),
    [
        (
            r"https://pr-\d+\.example\.com",
            ["https://pr-12.example.com", "HTTPS://PR-12.example.com:443"],
            ["https://pr-x.example.com", "https://pr-12.example.com.evil.com", "xhttps://pr-12.example.com", "null"],
            False,
        ),
        (r"null|file://", ["null", "file://"], ["https://app.example.com"], False),
        (r"https://.*\.example\.com", ["https://a.example.com"], ["https://evil.com?a.example.com"], False),
        (r"https://.*", ["https://evil.example"], ["http://evil.example", "https://evil.example, https://a"], True),
        (r".*", ["https://evil.example", "null", "file://"], ["", "x"], True),
        (r".*example\.com", ["https://evilexample.com"], [], True),
        (r"https://.*.example.com", ["https://evil-example.com"], [], True),
    ],
)
def test_an_expression_matches_whole_origins(
    regex: str, matching: list[str], foreign: list[str], is_open: bool
) -> None:
    policy = OriginPolicy(regex=regex)
    assert policy.cross_origin
    assert policy.is_open == is_open
    for origin in matching:
        assert policy.allows(origin, host=HOST)
        named = not is_open and origin not in ("null", "file://")
        assert policy.trusts(origin, host=HOST) == named
    for origin in foreign:
        assert not policy.allows(origin, host=HOST)
    assert policy.with_extra(APP).allows(matching[0], host=HOST)


@pytest.mark.parametrize(
    "regex",
    [
        r"(a+)+b",
        r"https://([a-z0-9-]+)*\.example\.com",
        r"^(https?://)?(\w+\.?)+\.example\.com$",
        r"https://(.*)(.*)(.*)x",
    ],
)
def test_an_expression_with_exponential_run_time_is_refused(regex: str) -> None:
    with pytest.raises(ConfigurationError, match="exponential"):
        OriginPolicy(regex=regex)
    with pytest.raises(ConfigurationError, match="MEW_CORS_ORIGIN_REGEX: .*exponential"):
        Settings(cors_origin_regex=regex)


def test_an_oversized_origin_is_not_allowed() -> None:
    long = "https://" + "a" * 300 + ".example.com"
    for policy in (OriginPolicy(["*"]), OriginPolicy(["https://*.example.com"]), OriginPolicy(regex=".*")):
        assert not policy.allows(long, host=HOST)
        assert not policy.allows(long, host=long.removeprefix("https://"))


def test_a_response_without_an_origin_also_varies_by_origin() -> None:
    assert OriginPolicy([APP]).headers(None) == [(b"vary", b"Origin")]
    assert OriginPolicy().headers(None) == []


def test_the_same_origin_gets_no_cors_headers() -> None:
    assert OriginPolicy([APP]).headers(f"https://{HOST}") == [(b"vary", b"Origin")]


def test_an_extra_origin_changes_only_the_new_policy() -> None:
    policy = OriginPolicy()
    events = policy.with_extra("http://localhost:5173")
    assert events.allows("http://localhost:5173", host=HOST)
    assert not policy.allows("http://localhost:5173", host=HOST)


def test_a_preflight_grants_the_requested_method_and_headers() -> None:
    answer = OriginPolicy([APP]).preflight(APP, "PATCH", "authorization, X-Request-Id", host=HOST)
    assert answer == [
        (b"access-control-allow-origin", APP.encode()),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-allow-methods", b"PATCH"),
        (b"access-control-allow-headers", b"authorization, X-Request-Id"),
        (b"access-control-max-age", b"600"),
        (b"vary", b"Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
    ]


def test_a_same_origin_preflight_gets_no_cors_headers() -> None:
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
        "http://:80",
        "https://*.",
        "https://*.*.example.com",
        "https://pr-*.example.com",
        "https://example.*",
        "https://*.127.0.0.1",
        "https://*.[::1]",
        "*://example.com",
        "*.example.com",
        "https://*.example.com/path",
        "http://localhost:*:*",
        "http://localhost:5*",
        "https://user@example.com",
        "NULL",
        "**",
        "https://a.example/path",
        "https://[::1",
        "https://a.example:x",
    ],
)
def test_a_configured_invalid_origin_fails_at_start_up(text: str) -> None:
    with pytest.raises(ConfigurationError, match="MEW_CORS_ORIGINS"):
        OriginPolicy([text])
    with pytest.raises(ConfigurationError, match="MEW_CORS_ORIGINS: .*is not an origin"):
        Settings(cors_origins=(text,))
    if text:
        with pytest.raises(ConfigurationError, match="^CORS_ORIGIN: .*is not an origin"):
            Settings(events_cors_origin=text)


def test_a_wrong_expression_fails_at_start_up() -> None:
    with pytest.raises(ConfigurationError, match="MEW_CORS_ORIGIN_REGEX: .*not a regular expression"):
        Settings.from_env({"MEW_CORS_ORIGIN_REGEX": "https://[a-z"})


@given(st.text() | st.from_regex(r"https?://[a-z.\[\]:0-9@/]*"), st.text() | st.from_regex(r"[a-z.:0-9]*"))
def test_arbitrary_text_raises_no_error_and_cannot_break_a_header(origin: str, host: str) -> None:
    for policy in (OriginPolicy(), OriginPolicy([APP]), OriginPolicy(["*"])):
        allowed = policy.allows(origin, host=host)
        headers = policy.headers(origin)
        assert all(b"\r" not in value and b"\n" not in value for _, value in headers)
        assert allowed or (b"access-control-allow-origin", origin.encode("latin-1", "replace")) not in headers


@given(st.from_regex(r"[a-z][a-z0-9-]{0,20}(\.[a-z]{2,5}){0,2}", fullmatch=True), st.integers(0, 65535))
def test_parsing_is_stable(host: str, port: int) -> None:
    origin = Origin.parse(f"https://{host.upper()}:{port}")
    assert origin == ("https", host, port)
