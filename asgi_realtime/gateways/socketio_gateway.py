"""A gateway that is a Socket.IO namespace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from asgi_realtime.auth.authenticators import Authenticator, JWTAuthenticator
from asgi_realtime.auth.token_sources import TokenSource, token_from_auth, token_from_bearer
from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.names import check_name
from asgi_realtime.gateways.replies import NewToken, Success
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.recovery.clients import gets_positions
from asgi_realtime.recovery.session import SessionClaim
from asgi_realtime.settings import Settings
from asgi_realtime.values.gateway_names import is_namespace
from asgi_realtime.values.handshake import Handshake


class SocketIOGateway(Gateway):
    """A Socket.IO namespace: subclass it, or make one and declare handlers with `gateway.on`.

    Without an `authenticator` a client needs a JWT, in `auth.token` or an `Authorization` header.
    """

    token_sources: ClassVar[Sequence[TokenSource]] = (token_from_auth("token"), token_from_bearer())
    recovery = True

    def __init__(
        self, namespace: str = "/", *, authenticator: Authenticator | None = None, limits: Limits | None = None
    ) -> None:
        """Make the gateway of a namespace.

        Raises:
            ConfigurationError: if the namespace is not `/` and a name without comma or query.
        """
        check_name(namespace, f"{type(self).__name__}(namespace)")
        if not is_namespace(namespace):
            raise ConfigurationError(f"SocketIOGateway({namespace!r}): a namespace looks like /chat")
        super().__init__(namespace, authenticator=authenticator, limits=limits)

    def gateway_for(self, namespace: str) -> SocketIOGateway | None:
        """Return the gateway of a namespace: this one, if it is mounted there. None: there is none."""
        return self if namespace == self.name else None

    def add_to_registry(self, registry: GatewayRegistry, limits: Limits) -> None:
        """Make the namespace known to broadcasters."""
        registry.add(self.name, SocketIODialect(self.name), self._limits or limits)

    def default_authenticator(self, settings: Settings) -> Authenticator:
        """A JWT, from one of the `token_sources`."""
        return JWTAuthenticator(self.jwt_verifier, self.token_sources)

    def _gets_positions(self, handshake: Handshake) -> bool:
        """Clients that ignore an argument which they do not know."""
        return gets_positions(handshake)

    def _session_claim(self, handshake: Handshake) -> SessionClaim | None:
        """`pid` and `offset` of `auth`, as the JavaScript client sends them."""
        auth = handshake.auth
        return SessionClaim(auth["pid"], auth.get("offset")) if isinstance(auth, dict) and "pid" in auth else None

    @on("auth/refresh")
    async def _on_auth_refresh(self, new: NewToken, connection: Connection) -> Success:
        """Replace the token of a live connection. The new token must be of the same user."""
        await self.refresh_token(connection, new["token"])
        return Success()
