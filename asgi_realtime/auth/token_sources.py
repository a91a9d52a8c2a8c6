"""Token sources: functions that find the token in a handshake."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, TypeAlias

import msgspec

from asgi_realtime.errors import Unauthorized
from asgi_realtime.values.handshake import Handshake

TokenSource: TypeAlias = Callable[[Handshake], str | None]
"""Returns the token in a handshake, or None if it has none in this place. May raise `Unauthorized`."""


class TokenPlace(msgspec.Struct, frozen=True):
    """A token source of this package. It says which place it reads, for descriptions of a gateway.

    `name` is a field of the authentication payload, a cookie, a header or a parameter of the query.
    """

    place: Literal["auth", "bearer", "cookie", "header", "query"]
    name: str = ""

    def __call__(self, handshake: Handshake) -> str | None:
        """Find the token."""
        match self.place:
            case "auth":
                return self._in_auth(handshake)
            case "bearer":
                scheme, _, token = handshake.headers.get("authorization", "").partition(" ")
                return token.strip() or None if scheme.lower() == "bearer" else None
            case "cookie":
                return handshake.cookies.get(self.name) or None
            case "header":
                return handshake.headers.get(self.name.lower()) or None
            case "query":
                return handshake.query.get(self.name) or None

    def _in_auth(self, handshake: Handshake) -> str | None:
        token = handshake.auth.get(self.name) if isinstance(handshake.auth, dict) else None
        if token is not None and not isinstance(token, str):
            raise Unauthorized(log_reason="the token is no text")
        return token or None


def token_from_auth(name: str) -> TokenSource:
    """The token in the authentication payload: `io(url, {auth: {token}})`, or a JSON `auth` frame."""
    return TokenPlace("auth", name)


def token_from_cookie(name: str) -> TokenSource:
    """The token in a cookie."""
    return TokenPlace("cookie", name)


def token_from_query(name: str) -> TokenSource:
    """The token in the query. Proxies log queries, so use it only for clients that can send the token no other way."""
    return TokenPlace("query", name)


def token_from_bearer() -> TokenSource:
    """The token in an `Authorization: Bearer` header."""
    return TokenPlace("bearer")
