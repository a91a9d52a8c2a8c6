"""Token sources: functions that find the token in a handshake."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from asgi_realtime.errors import Unauthorized
from asgi_realtime.values.handshake import Handshake

TokenSource: TypeAlias = Callable[[Handshake], str | None]
"""Returns the token in a handshake, or None if it has none in this place. May raise `Unauthorized`."""


def token_from_auth(name: str) -> TokenSource:
    """The token in the authentication payload: `io(url, {auth: {token}})`, or a JSON `auth` frame."""

    def find(handshake: Handshake) -> str | None:
        token = handshake.auth.get(name) if isinstance(handshake.auth, dict) else None
        if token is not None and not isinstance(token, str):
            raise Unauthorized(log_reason="the token is no text")
        return token or None

    return find


def token_from_cookie(name: str) -> TokenSource:
    """The token in a cookie."""
    return lambda handshake: handshake.cookies.get(name) or None


def token_from_query(name: str) -> TokenSource:
    """The token in the query. Proxies log queries, so use it only for clients that can send the token no other way."""
    return lambda handshake: handshake.query.get(name) or None


def token_from_bearer() -> TokenSource:
    """The token in an `Authorization: Bearer` header."""

    def find(handshake: Handshake) -> str | None:
        scheme, _, token = handshake.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    return find
