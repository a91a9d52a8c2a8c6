"""Verification of JSON Web Tokens.

The client gets the same answer whatever is wrong with its token. No part of a token is logged.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import jwt

from asgi_realtime.auth.admin_secret import SERVICE_PREFIX
from asgi_realtime.auth.claims import Claims
from asgi_realtime.auth.jwks import JWKS
from asgi_realtime.auth.jwks_fetch import PublishedKey
from asgi_realtime.auth.keys import PublicKey, load_public_key
from asgi_realtime.errors import Unauthorized
from asgi_realtime.runtime import time_source
from asgi_realtime.settings import Settings
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.json import Json

if TYPE_CHECKING:
    from jwt.types import Options


# The errors that PyJWT and its JSON and base64 decoders raise for an invalid token (TypeError: some releases).
_NOT_A_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)

_MOST_TRIED: Final = 8
"""Most published keys with the same id that are tried for a token. It limits the work for a forged one."""


class JWTVerifier:
    """Verifies a JSON Web Token by a shared secret, a public key or published keys, and returns its identity.

    Raises:
        ConfigurationError: if the settings have no key.
    """

    def __init__(self, settings: Settings) -> None:
        settings.require_jwt_key()
        self._settings = settings
        self._longest = settings.limits.handshake_bytes
        self._options: Options = {
            "verify_aud": settings.jwt_audience is not None,
            "verify_iss": settings.jwt_issuer is not None,
            # docs/reference/protocols.md does not require these checks: a future `iat`, numbers as `sub` and `jti`.
            **{"verify_iat": False, "verify_sub": False, "verify_jti": False},
            # `_check_times` does it, by the time of this package.
            **{"verify_exp": False, "verify_nbf": False},
        }
        self._algorithms = settings.algorithms
        self._key: str | PublicKey = settings.jwt_secret or ""
        self._published: JWKS | None = None
        if settings.jwt_public_key:
            self._key = load_public_key(settings.jwt_public_key)
        elif settings.jwks_url:
            self._published = JWKS(
                settings.jwks_url,
                cooldown=settings.jwks_cooldown,
                timeout=settings.jwks_timeout,
                ttl=settings.jwks_ttl,
            )

    async def verify(self, token: str) -> Identity:
        """Check signature, `exp` and `nbf`, and `aud` and `iss` if configured. Waits only for published keys.

        The identity's user id is the configured claim (a number becomes text). It must not begin with `service:`, as
        those of services do that present the admin secret. Its expiry is `exp` plus the leeway.

        Raises:
            Unauthorized: the token is not valid. `log_reason` says why: it is an `InvalidToken`.
        """
        try:
            if len(token) > self._longest:
                raise jwt.DecodeError
            settings = self._settings
            if self._published is None:
                claims = self._decode(token, self._key, self._algorithms)
            else:
                claims = self._decode_published(token, await self._published_keys(self._published, token))
            _check_times(claims, settings.jwt_leeway)
            return Identity(
                user_id=_user_id(claims.get(settings.jwt_user_claim)),
                claims=Claims(claims),
                expires_at=float(claims["exp"]) + settings.jwt_leeway if "exp" in claims else None,
            )
        except _NOT_A_TOKEN as error:
            raise Unauthorized(log_reason=_reason(error)) from None

    def _decode(self, token: str, key: str | PublicKey, algorithms: Sequence[str]) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=algorithms,
            audience=self._settings.jwt_audience,
            issuer=self._settings.jwt_issuer,
            options=self._options,
        )
        return claims

    def _decode_published(self, token: str, keys: Sequence[PublishedKey]) -> dict[str, Any]:
        """The claims, if one of the keys has signed the token. At least one key."""
        *others, last = keys
        for key in others:
            with contextlib.suppress(jwt.InvalidSignatureError):
                return self._decode(token, key.key, key.algorithms)
        return self._decode(token, last.key, last.algorithms)

    async def _published_keys(self, published: JWKS, token: str) -> Sequence[PublishedKey]:
        """The keys that may have signed a token: at least one, and at most `_MOST_TRIED`."""
        header = jwt.get_unverified_header(token)
        # Checked before a fetch: a token that cannot be accepted must not cause one.
        if header.get("alg") not in self._algorithms:
            raise jwt.InvalidAlgorithmError
        found = await published.find(header.get("kid"))
        if found is None:
            raise jwt.InvalidKeyError
        algorithm = header["alg"]
        fitting = [PublishedKey(key, (algorithm,)) for key, algorithms in found if algorithm in algorithms]
        if not fitting:
            raise jwt.InvalidAlgorithmError
        return fitting[:_MOST_TRIED]


class InvalidToken(enum.StrEnum):
    """Why a token is not valid, for the log. No text contains a part of the token."""

    EXPIRED = "the token has expired"
    NOT_YET = "the token is not valid yet"
    AUDIENCE = "the token is for another audience (MEW_JWT_AUDIENCE)"
    ISSUER = "the token is of another issuer (MEW_JWT_ISSUER)"
    MISSING_CLAIM = "the token lacks a claim that is required (MEW_JWT_AUDIENCE, MEW_JWT_ISSUER)"
    SIGNATURE = "the token's signature is not by the configured key"
    ALGORITHM = "the token's algorithm is not accepted (MEW_JWT_ALGORITHMS)"
    UNPUBLISHED = "the token's key is not among those published (MEW_JWKS_URL)"
    NO_USER_ID = "the token has no user id (MEW_JWT_USER_CLAIM)"
    RESERVED_USER_ID = "the token's user id begins with service:, which is for services with the admin secret"
    NOT_A_JWT = "the token is no JWT"


class _NoUserId(ValueError):
    """The claim with the user id is missing, or has the wrong type."""


class _ReservedUserId(ValueError):
    """The user id is one of a service."""


_REASONS: Mapping[type[Exception], InvalidToken] = {
    jwt.ExpiredSignatureError: InvalidToken.EXPIRED,
    jwt.ImmatureSignatureError: InvalidToken.NOT_YET,
    jwt.InvalidAudienceError: InvalidToken.AUDIENCE,
    jwt.InvalidIssuerError: InvalidToken.ISSUER,
    jwt.MissingRequiredClaimError: InvalidToken.MISSING_CLAIM,
    jwt.InvalidSignatureError: InvalidToken.SIGNATURE,
    jwt.InvalidAlgorithmError: InvalidToken.ALGORITHM,
    jwt.InvalidKeyError: InvalidToken.UNPUBLISHED,
    _NoUserId: InvalidToken.NO_USER_ID,
    _ReservedUserId: InvalidToken.RESERVED_USER_ID,
}


def _reason(error: Exception) -> InvalidToken:
    return next((reason for kind, reason in _REASONS.items() if isinstance(error, kind)), InvalidToken.NOT_A_JWT)


def _check_times(claims: Mapping[str, Any], leeway: float) -> None:
    """Raise if a token has expired, or is not valid yet. Fractions of a second in its claims do not count."""
    if "nbf" in claims and int(claims["nbf"]) > time_source.wall() + leeway:
        raise jwt.ImmatureSignatureError
    if "exp" in claims and int(claims["exp"]) <= time_source.wall() - leeway:
        raise jwt.ExpiredSignatureError


def _user_id(claim: Json) -> str:
    if isinstance(claim, int) and not isinstance(claim, bool):
        claim = str(claim)
    if not isinstance(claim, str) or not claim:
        raise _NoUserId("the user claim must be a non-empty string")
    if claim.startswith(SERVICE_PREFIX):
        raise _ReservedUserId
    claim.encode()  # raises for half a surrogate pair, which UTF-8 cannot encode
    return claim
