"""JWTs for tests, scripts and examples."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

import jwt

from asgi_realtime.auth.admin_secret import SERVICE_PREFIX
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.runtime import time_source
from asgi_realtime.settings import Settings
from asgi_realtime.values.field_types import is_finite
from asgi_realtime.values.ids import Id, id_text


def create_token(user_id: Id, settings: Settings, *, expires_in: float | None = 3600, **claims: Any) -> str:
    """Make a token that a `JWTVerifier` with the same settings accepts. For development logins and tests.

    It expires after `expires_in` seconds (None: never). Further claims are added. They replace claims of the same name
    that are made here.

    Raises:
        ConfigurationError: if the settings have no shared secret to sign with.
        ValueError: if `expires_in` is not finite, or the user id begins with `service:`, as only those of services do
            that present the admin secret.
    """
    return signed_token(user_id, settings, claims, expires_in=expires_in)


def signed_token(user_id: Id, settings: Settings, claims: Mapping[str, Any], *, expires_in: float | None) -> str:
    """The same, with further claims of any name.

    Raises:
        ConfigurationError: if the settings have no shared secret to sign with.
        ValueError: if `expires_in` is not finite, or the user id is one of a service.
    """
    if not settings.jwt_secret:
        raise ConfigurationError(f"tokens can be made only with MEW_JWT_SECRET; {_remedy(settings)}")
    # A float: a token that is made after a revocation in the same second must be newer than it.
    now = time_source.wall()
    made: dict[str, Any] = {
        "iat": now,
        "jti": secrets.token_urlsafe(12),
        settings.jwt_user_claim: id_text(user_id, "user_id"),
    }
    if expires_in is not None:
        if not is_finite(expires_in):
            raise ValueError("expires_in must be a finite number of seconds, or None")
        made["exp"] = now + expires_in
    if settings.jwt_audience is not None:
        made["aud"] = settings.jwt_audience
    if settings.jwt_issuer is not None:
        made["iss"] = settings.jwt_issuer
    made |= claims
    if str(made[settings.jwt_user_claim]).startswith(SERVICE_PREFIX):
        raise ValueError(f"a user id must not begin with {SERVICE_PREFIX!r}: such ids are for services")
    if not isinstance(made.get("iss", ""), str):  # PyJWT before 2.11 signs it, and accepts it nowhere
        raise TypeError("Issuer (iss) must be a string.")
    return jwt.encode(made, settings.jwt_secret, algorithm=settings.algorithms[0])


def _remedy(settings: Settings) -> str:
    if settings.jwks_url:
        return "with MEW_JWKS_URL only the identity provider has the private key: log in there, and use its token"
    if settings.jwt_public_key:
        return "with MEW_JWT_PUBLIC_KEY only the issuer has the private key: let it make the token"
    return "set it, or MEW_DEV=true"
