"""A gateway that is a WebSocket path, with JSON frames `{"type", "data"}`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import msgspec

from asgi_realtime.auth import Authenticator, JWTAuthenticator, from_auth, from_bearer, from_query
from asgi_realtime.catalogue import EventDeclaration, down, up
from asgi_realtime.connection import Connection
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway, NewToken, Parts
from asgi_realtime.gateways.handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.messages import Handshake


class Authenticated(msgspec.Struct, frozen=True, rename="camel"):
    """Whom the server takes the client for."""

    user_id: str


class Unauthenticated(msgspec.Struct, frozen=True):
    """Why the client is not let in."""

    message: str


class WebSocketGateway(Gateway):
    """A WebSocket path: subclass it, or make one and declare handlers with `gateway.on`.

    Without an `authenticator` a client needs a JWT: in the first frame, `{"type": "auth", "data":
    {"token": …}}`, in the query as `token`, or in an `Authorization` header.
    """

    events: ClassVar[Sequence[EventDeclaration]] = (
        down("auth_success", Authenticated, to="the client that authenticated"),
        down("auth_error", Unauthenticated, to="the client whose token is not valid, before it is closed with 1008"),
        up("ping", effect="answered with `pong`"),
        down("pong", to="the client that sent `ping`"),
    )

    def __init__(self, path: str, *, authenticator: Authenticator | None = None, limits: Limits | None = None) -> None:
        """Make the gateway of a path.

        Raises:
            ConfigurationError: if the path is not absolute.
        """
        if not path.startswith("/") or path == "/":
            raise ConfigurationError(f"WebSocketGateway({path!r}): a path looks like /chat")
        super().__init__(path.rstrip("/"), authenticator=authenticator, limits=limits)

    def has_credential(self, handshake: Handshake) -> bool:
        """Whether the handshake itself is to authenticate; otherwise the first frame must be `auth`."""
        return bool(handshake.query.get("token") or "authorization" in handshake.headers)

    @on("auth")
    async def auth(self, new: NewToken, connection: Connection) -> None:
        """A second `auth` frame replaces the token (PROTOCOLS.md, "Additions"). It must name the same user."""
        await self.refresh_token(connection, new["token"])
        self.reply(connection, "auth_success", Authenticated(connection.identity.user_id))

    def default_authenticator(self, parts: Parts) -> Authenticator:
        """A JWT in an `auth` frame, in the query, or in an `Authorization: Bearer` header."""
        sources = [from_auth("token"), from_query("token"), from_bearer()]
        return JWTAuthenticator(parts.require_verifier(), sources, parts.revocations)
