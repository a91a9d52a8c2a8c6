"""Authenticators: functions from a handshake to an identity."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.token_sources import TokenSource
from asgi_realtime.errors import Unauthorized
from asgi_realtime.runtime.host_calls import MaybeAwaitable
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity

Authenticator: TypeAlias = Callable[[Handshake], MaybeAwaitable[Identity]]
"""Returns the identity for a handshake, or raises `Unauthorized`. A plain function runs in a thread."""


class JWTAuthenticator:
    """An authenticator for JWTs: `SocketIOGateway(authenticator=JWTAuthenticator(...))`.

    The sources are tried in order. The first source that finds a token decides: if that token is invalid, the client
    is refused, even if another source has a valid token. A gateway also refuses revoked tokens. If you call the
    authenticator yourself, for a REST route, revocations are not checked.
    """

    def __init__(self, verifier: JWTVerifier, sources: Sequence[TokenSource]) -> None:
        self._verifier = verifier
        self.token_sources = tuple(sources)

    async def __call__(self, handshake: Handshake) -> Identity:
        """Authenticate a handshake.

        Raises:
            Unauthorized: no source has a token, or the token is invalid.
        """
        for source in self.token_sources:
            token = source(handshake)
            if token is not None:
                return await self._verifier.verify(token)
        raise Unauthorized(log_reason="no token")
