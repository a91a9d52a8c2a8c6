"""Reads the query and headers of an ASGI scope, and redacts secrets in the query."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from starlette.types import Scope

_PUBLIC = {
    b"EIO": re.compile(rb"\d{1,2}"),
    b"transport": re.compile(rb"polling|websocket|webtransport"),
    b"t": re.compile(rb"[\w.-]{1,18}"),
    b"b64": re.compile(rb"[01]"),
    b"j": re.compile(rb"\d{1,6}"),
}
"""Query parameters whose values are never secret. Any other may contain a token. `sid` is one itself."""
_NAME = re.compile(rb"[A-Za-z_-]{1,24}")
"""Names of other parameters that may be logged. A longer name, or one with digits, may be a token itself."""

_USUAL_HEADERS = {
    name.encode(): name
    for name in """
        accept accept-encoding accept-language authorization cache-control connection content-length content-type
        cookie host origin pragma referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode
        sec-fetch-site sec-websocket-extensions sec-websocket-key sec-websocket-version upgrade user-agent
        x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip
    """.split()
}
"""Common header names. Each string exists once, however many sessions use it."""
_USUAL_VALUES = {
    value.encode(): value
    for value in (
        *("13", "websocket", "Upgrade", "upgrade", "keep-alive, Upgrade", "no-cache", "*/*"),
        *("gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd", "permessage-deflate"),
        "permessage-deflate; client_max_window_bits",
    )
}
_USUAL_QUERIES = frozenset({b"EIO=4&transport=websocket"})
"""Queries without a secret that most clients send."""
_SINGLE = frozenset({b"authorization", b"host", b"origin", b"x-mew-admin-secret"})
_USUAL_QUERY = {text: text for text in ("EIO", "4", "transport", "websocket", "polling")}


def query_parameters(scope: Scope) -> dict[str, str]:
    """The query of an ASGI scope. If a name is repeated, the last value is used."""
    usual = _USUAL_QUERY.get
    query: bytes = scope["query_string"]
    text = query.decode("latin-1")
    if b"%" in query or b"+" in query:
        pairs = parse_qsl(text, keep_blank_values=True)
    else:  # nothing is escaped, which is the usual case and much cheaper to parse
        pairs = [(name, value) for name, _, value in [part.partition("=") for part in text.split("&") if part]]
    return {usual(name, name): usual(value, value) for name, value in pairs}


def request_headers(scope: Scope) -> dict[str, str]:
    """The headers of an ASGI scope. Of a repeated header the last is used. Cookies, which HTTP/2 splits, are joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = _USUAL_HEADERS.get(raw_name) or raw_name.decode("latin-1").lower()
        value = _USUAL_VALUES.get(raw_value) or raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
    return headers


def duplicate_header(scope: Scope) -> str | None:
    """The name of a security-relevant header that occurs twice. None: there is none.

    Such a request is unsafe: a proxy may have checked one value, and this process would use the other.
    """
    single = [name for name, _ in scope["headers"] if name in _SINGLE]
    if len(single) == len(set(single)):
        return None
    doubled: bytes = next(name for name in single if single.count(name) > 1)
    return doubled.decode("ascii")


def redact_query(scope: Scope) -> None:
    """Replace possible secrets in the scope's query string.

    Servers write their access log after the application has returned, from the same dictionary. So the log does not
    contain the secrets.
    """
    query: bytes = scope["query_string"]
    if query and query not in _USUAL_QUERIES:
        scope["query_string"] = b"&".join(map(_redact, query.split(b"&")))


def _redact(parameter: bytes) -> bytes:
    name, _, value = parameter.partition(b"=")
    public = _PUBLIC.get(name)
    if public is not None and public.fullmatch(value):
        return parameter
    # A name without a value may be a secret itself, also if only base64 padding (`=`) follows it.
    named = value.strip(b"=") and (public is not None or _NAME.fullmatch(name))
    return name + b"=redacted" if named else b"redacted"
