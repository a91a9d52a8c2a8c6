"""Authentication of Jobs clients: a shared token, or a JWT."""

from __future__ import annotations

import hmac
import secrets

from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.token_sources import token_from_auth, token_from_bearer, token_from_query
from asgi_realtime.errors import ConfigurationError, Unauthorized
from asgi_realtime.settings import Settings
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity

DEMO_TOKEN = "demo-token"
_PREFIX = "client:"
"""How the user ids of clients with a shared token begin."""


def same_shared_token(earlier: Identity, identity: Identity) -> bool:
    """Whether two clients have presented the same shared token. A JWT has at least the claim that names its user."""
    users = (earlier.user_id, identity.user_id)
    return (
        identity.claims.keys() == {"token"}
        and earlier.claims == identity.claims
        and all(user_id.startswith(_PREFIX) for user_id in users)
    )


class JobsAuthenticator:
    """Accepts `WS_AUTH_TOKEN`, `demo-token` if `WS_ALLOW_DEMO_TOKEN` is on, and JWTs if a key is configured.

    Each connection with a shared token is a new user: the user id is `client:` and a random text, the claims are
    `{"token": "WS_AUTH_TOKEN"}` or `{"token": "demo-token"}`.

    Raises:
        ConfigurationError: if none of the three is configured.
    """

    def __init__(self, settings: Settings, verifier: JWTVerifier | None) -> None:
        self._shared: dict[str, bytes] = {}
        if settings.ws_auth_token:
            self._shared["WS_AUTH_TOKEN"] = settings.ws_auth_token.encode()
        if settings.ws_allow_demo_token:
            self._shared[DEMO_TOKEN] = DEMO_TOKEN.encode()
        if not self._shared and not settings.has_jwt_key:
            raise ConfigurationError(
                "JobsGateway refuses every client: set WS_AUTH_TOKEN (a token its clients share), a key for JWTs "
                "such as MEW_JWT_SECRET, or for a demonstration WS_ALLOW_DEMO_TOKEN=true"
            )
        self._sources = (token_from_auth("token"), token_from_query("token"), token_from_bearer())
        self._verifier = verifier

    async def __call__(self, handshake: Handshake) -> Identity:
        """Authenticate a handshake.

        Raises:
            Unauthorized: if there is no token, or it is none of the three.
        """
        token = next((token for source in self._sources if (token := source(handshake)) is not None), None)
        if token is None:
            raise Unauthorized(log_reason="no token")
        presented = token.encode("utf-8", "replace")
        # Every comparison is made, so that the time does not show which one failed.
        matching = [name for name, known in self._shared.items() if hmac.compare_digest(presented, known)]
        if matching:
            return Identity(user_id=f"{_PREFIX}{secrets.token_urlsafe(12)}", claims={"token": matching[0]})
        if self._verifier is None:
            raise Unauthorized(log_reason="the token is not the one of WS_AUTH_TOKEN, and no key for JWTs is set")
        return await self._verifier.verify(token)
