"""Authentication of the host's services by the admin secret."""

from __future__ import annotations

import hmac

from asgi_realtime.auth.jwt_verifier import _encode
from asgi_realtime.errors import Unauthorized
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.json import Json


class AdminSecretAuthenticator:
    """An authenticator for services of the host: the admin secret, and a service type.

    The user id is `service:` and the type, which no user's is.

    The secret comes in the header `X-Mew-Admin-Secret` or in `auth.adminSecret` (the header decides
    when there are both), the service type in `auth.serviceType` or the query. Without a secret of
    its own it refuses everybody.
    """

    def __init__(self, secret: str | None) -> None:
        self._secret = secret.encode() if secret else None

    async def __call__(self, handshake: Handshake) -> Identity:
        """Authenticate a handshake.

        Raises:
            Unauthorized: wrong or no secret, a secret in the query even when it is right (queries
                are logged on their way), no service type, or the reserved one, `sdk`.
        """
        auth: dict[str, Json] = handshake.auth if isinstance(handshake.auth, dict) else {}
        if self._is_in_query(handshake):
            raise Unauthorized(log_reason="credentials in the query, which proxies log")
        # Headers reach us as latin-1, which gives the bytes that were sent.
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
        # Not the bare type: whoever disconnects or revokes a user of that name does not mean a service.
        return Identity(user_id=f"service:{service_type}", claims={"serviceType": service_type})

    def _is_secret(self, presented: bytes | None) -> bool:
        return self._secret is not None and presented is not None and hmac.compare_digest(presented, self._secret)

    def _is_in_query(self, handshake: Handshake) -> bool:
        return any(
            "secret" in name.lower() or self._is_secret(_encode(value)) for name, value in handshake.query.items()
        )
