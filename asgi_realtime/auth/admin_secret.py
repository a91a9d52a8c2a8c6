"""Authenticates services of the host by the admin secret."""

from __future__ import annotations

import hmac
from collections.abc import Sequence
from typing import ClassVar, Final

from asgi_realtime.auth.token_sources import TokenPlace, TokenSource
from asgi_realtime.errors import Unauthorized
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.json import Json

SERVICE_PREFIX: Final = "service:"
"""How the user ids of services begin. No user has such an id: a revocation of a user must not affect a service."""


class AdminSecretAuthenticator:
    """An authenticator for services of the host, which present the admin secret and a service type.

    The user id is `service:` followed by the service type. `JWTVerifier` refuses tokens with such a user id. Your own
    authenticators must not return one.

    The client sends the secret in the header `X-Mew-Admin-Secret` or in `auth.adminSecret`. If both are there, the
    header is used. It sends the service type in `auth.serviceType` or in the query. Without a configured secret, every
    client is refused.
    """

    token_sources: ClassVar[Sequence[TokenSource]] = (
        TokenPlace("header", "X-Mew-Admin-Secret"),
        TokenPlace("auth", "adminSecret"),
    )
    """Where the secret is read, for descriptions of a gateway."""

    def __init__(self, secret: str | None) -> None:
        self._secret = secret.encode() if secret else None

    async def __call__(self, handshake: Handshake) -> Identity:
        """Authenticate a handshake.

        Raises:
            Unauthorized: a wrong secret or none, a secret in the query, even a right one (proxies log queries), no
                service type, or the reserved type `sdk`.
        """
        auth: dict[str, Json] = handshake.auth if isinstance(handshake.auth, dict) else {}
        if self._is_in_query(handshake):
            raise Unauthorized(log_reason="credentials in the query, which proxies log")
        # ASGI headers were decoded as latin-1. Encoding them again restores the bytes that were sent.
        header = handshake.headers.get("x-mew-admin-secret")
        presented = _encode(auth.get("adminSecret")) if header is None else header.encode("latin-1", "replace")
        if not self._is_secret(presented):
            missing = "no" if presented is None else "a wrong"
            raise Unauthorized(
                log_reason="MEW_ADMIN_SECRET is not set" if self._secret is None else f"{missing} admin secret"
            )
        service_type = auth.get("serviceType", handshake.query.get("serviceType"))
        if not isinstance(service_type, str) or service_type.strip().lower() in ("", "sdk"):
            raise Unauthorized(log_reason="no service type, or the reserved one")
        return Identity(user_id=f"{SERVICE_PREFIX}{service_type}", claims={"serviceType": service_type})

    def _is_secret(self, presented: bytes | None) -> bool:
        return self._secret is not None and presented is not None and hmac.compare_digest(presented, self._secret)

    def _is_in_query(self, handshake: Handshake) -> bool:
        return any(
            "secret" in name.lower() or self._is_secret(_encode(value)) for name, value in handshake.query.items()
        )


def _encode(value: Json) -> bytes | None:
    return value.encode("utf-8", "replace") if isinstance(value, str) else None
