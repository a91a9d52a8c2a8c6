"""Query and headers of an ASGI scope, read once and redacted."""

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
"""Query parameters with values that say nothing about who asks. Any other may hold a token, or is one, as `sid` is."""
_NAME = re.compile(rb"[A-Za-z_-]{1,24}")
"""What a name of another parameter looks like. A longer one, or one with digits, may be a token itself."""

_USUAL_HEADERS = {
    name.encode(): name
    for name in """
        accept accept-encoding accept-language authorization cache-control connection content-length content-type
        cookie host origin pragma referer sec-ch-ua sec-ch-ua-mobile sec-ch-ua-platform sec-fetch-dest sec-fetch-mode
        sec-fetch-site sec-websocket-extensions sec-websocket-key sec-websocket-version upgrade user-agent
        x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-real-ip
    """.split()
}
"""Names that the headers of most sessions have, kept once for all of them."""
_USUAL_VALUES = {
    value.encode(): value
    for value in (
        *("13", "websocket", "Upgrade", "upgrade", "keep-alive, Upgrade", "no-cache", "*/*"),
        *("gzip, deflate", "gzip, deflate, br", "gzip, deflate, br, zstd", "permessage-deflate"),
        "permessage-deflate; client_max_window_bits",
    )
}
_SINGLE = frozenset({b"authorization", b"host", b"origin", b"x-mew-admin-secret"})
_USUAL_QUERY = {text: text for text in ("EIO", "4", "transport", "websocket", "polling")}


def query_parameters(scope: Scope) -> dict[str, str]:
    """The query of an ASGI scope; of a repeated name the last wins."""
    usual = _USUAL_QUERY.get
    query: bytes = scope["query_string"]
    text = query.decode("latin-1")
    if b"%" in query or b"+" in query:
        pairs = parse_qsl(text, keep_blank_values=True)
    else:  # nothing is escaped: the usual case, and a fraction of the work
        pairs = [(name, value) for name, _, value in [part.partition("=") for part in text.split("&") if part]]
    return {usual(name, name): usual(value, value) for name, value in pairs}


def request_headers(scope: Scope) -> dict[str, str]:
    """The headers of an ASGI scope; of a repeated name the last wins, but cookies (HTTP/2 splits them) are joined."""
    headers: dict[str, str] = {}
    for raw_name, raw_value in scope["headers"]:
        name = _USUAL_HEADERS.get(raw_name) or raw_name.decode("latin-1").lower()
        value = _USUAL_VALUES.get(raw_value) or raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}; {value}" if name == "cookie" and name in headers else value
    return headers


def doubled_header(scope: Scope) -> str | None:
    """The name of a header that is there twice, of those that decide who may do what; None: there is none.

    One reader takes the first of two values and another the last: a proxy may have checked the other one.
    """
    single = [name for name, _ in scope["headers"] if name in _SINGLE]
    if len(single) == len(set(single)):
        return None
    doubled: bytes = next(name for name in single if single.count(name) > 1)
    return doubled.decode("ascii")


def redact_query(scope: Scope) -> None:
    """Replace in the scope's query string what may be a secret.

    Servers read this very dictionary when they write their access log, which is after the
    application has had it.
    """
    query: bytes = scope["query_string"]
    if query:
        scope["query_string"] = b"&".join(map(_redact, query.split(b"&")))


def _redact(parameter: bytes) -> bytes:
    name, _, value = parameter.partition(b"=")
    public = _PUBLIC.get(name)
    if public is not None and public.fullmatch(value):
        return parameter
    # A name without a value may itself be the secret; so may one before the padding of base64.
    named = value.strip(b"=") and (public is not None or _NAME.fullmatch(name))
    return name + b"=redacted" if named else b"redacted"
