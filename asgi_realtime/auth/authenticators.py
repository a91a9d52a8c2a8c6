"""Authenticators: functions from a handshake to an identity."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.errors import Unauthorized
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity

if TYPE_CHECKING:
    pass
from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.token_sources import TokenSource

Authenticator: TypeAlias = Callable[[Handshake], Awaitable[Identity] | Identity]
"""Says who a handshake comes from, or raises `Unauthorized`. A plain function runs in a thread."""


class JWTAuthenticator:
    """An authenticator for tokens: the first source that finds one decides, a good one further down changes nothing."""

    def __init__(
        self, verifier: JWTVerifier, sources: Sequence[TokenSource], revocations: Revocations | None = None
    ) -> None:
        self._verifier = verifier
        self._sources = tuple(sources)
        self._revocations = revocations

    async def __call__(self, handshake: Handshake) -> Identity:
        """Authenticate a handshake.

        Raises:
            Unauthorized: no token, or one that is invalid or revoked.
        """
        for source in self._sources:
            token = source(handshake)
            if token is not None:
                return await self.authenticate(token)
        raise Unauthorized(log_reason="no token")

    async def authenticate(self, token: str) -> Identity:
        """Authenticate a token that came by another way, such as a refresh.

        Raises:
            Unauthorized: it is invalid or revoked.
        """
        identity = await self._verifier.verify(token)
        if self._revocations is not None and self._revocations.is_revoked(identity):
            raise Unauthorized(log_reason="the token is revoked")
        return identity
