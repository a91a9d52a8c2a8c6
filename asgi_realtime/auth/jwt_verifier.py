"""Verification of JSON Web Tokens.

The client gets the same answer whatever is wrong with its token. No part of a token is logged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import jwt

from asgi_realtime.auth.claims import Claims
from asgi_realtime.auth.jwks import JWKS
from asgi_realtime.auth.keys import PublicKey, load_public_key
from asgi_realtime.auth.signed_token import SignedToken, TokenReader
from asgi_realtime.errors import Unauthorized
from asgi_realtime.settings import Settings
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.json import Json

# The errors that PyJWT and the decoders of JSON and base64 raise for an invalid token (TypeError: some releases).
_NOT_A_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


class JWTVerifier:
    """Verifies a JSON Web Token by a shared secret, a public key or published keys, and returns its identity.

    Raises:
        ConfigurationError: if the settings have no key.
    """

    def __init__(self, settings: Settings) -> None:
        settings.require_jwt_key()
        self._settings = settings
        self._longest = settings.limits.handshake_bytes
        self._reader = TokenReader()
        self._algorithms = settings.algorithms
        self._key: bytes | PublicKey = (settings.jwt_secret or "").encode()
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

        The identity's user id is the configured claim (a number becomes text). Its expiry is `exp` plus the leeway.

        Raises:
            Unauthorized: the token is not valid. `log_reason` says why.
        """
        try:
            if len(token) > self._longest:
                raise jwt.DecodeError
            signed = self._reader.read(token)
            # Checked before a fetch: a token that cannot be accepted must not cause one.
            if signed.header.algorithm not in self._algorithms:
                raise jwt.InvalidAlgorithmError
            signed.verify(self._key if self._published is None else await _published_key(self._published, signed))
            claims = self._checked_claims(signed.payload)
            settings = self._settings
            return Identity(
                user_id=_user_id(claims.get(settings.jwt_user_claim)),
                claims=Claims(signed.payload),
                expires_at=float(claims["exp"]) + settings.jwt_leeway if "exp" in claims else None,
            )
        except _NOT_A_TOKEN as error:
            raise Unauthorized(log_reason=_reason(error)) from None

    def _checked_claims(self, payload: bytes) -> Mapping[str, Any]:
        """The claims in a verified payload (RFC 7519, section 4.1).

        `iat` in the future, and numbers as `sub` and `jti`, are accepted: docs/protocols.md requires no check of these.
        """
        claims = json.loads(payload)
        if type(claims) is not dict:
            raise jwt.DecodeError
        settings, now = self._settings, time.time()
        if "nbf" in claims and int(claims["nbf"]) > now + settings.jwt_leeway:
            raise jwt.ImmatureSignatureError
        if "exp" in claims and int(claims["exp"]) <= now - settings.jwt_leeway:
            raise jwt.ExpiredSignatureError
        if settings.jwt_issuer is not None:
            if claims.get("iss") is None:
                raise jwt.MissingRequiredClaimError("iss")
            if claims["iss"] != settings.jwt_issuer:
                raise jwt.InvalidIssuerError
        if settings.jwt_audience is not None:
            if not claims.get("aud"):
                raise jwt.MissingRequiredClaimError("aud")
            named = [claims["aud"]] if isinstance(claims["aud"], str) else claims["aud"]
            if type(named) is not list or not all(isinstance(name, str) for name in named):
                raise jwt.InvalidAudienceError
            if settings.jwt_audience not in named:
                raise jwt.InvalidAudienceError
        return claims


async def _published_key(published: JWKS, token: SignedToken) -> PublicKey:
    """The key that a token names.

    Raises:
        InvalidKeyError: there is no such key.
        InvalidAlgorithmError: the token's algorithm is not one of the key.
    """
    found = await published.find(token.header.key_id)
    if found is None:
        raise jwt.InvalidKeyError
    if token.header.algorithm not in found.algorithms:
        raise jwt.InvalidAlgorithmError
    return found.key


_REASONS: Mapping[type[Exception], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidAudienceError: "the token is for another audience (MEW_JWT_AUDIENCE)",
    jwt.InvalidIssuerError: "the token is of another issuer (MEW_JWT_ISSUER)",
    jwt.MissingRequiredClaimError: "the token lacks a claim that is required (MEW_JWT_AUDIENCE, MEW_JWT_ISSUER)",
    jwt.InvalidSignatureError: "the token's signature is not by the configured key",
    jwt.InvalidAlgorithmError: "the token's algorithm is not accepted (MEW_JWT_ALGORITHMS)",
    jwt.InvalidKeyError: "the token's key is not among those published (MEW_JWKS_URL)",
}


class _NoUserId(ValueError):
    """The claim with the user id is missing, or has the wrong type."""


def _reason(error: Exception) -> str:
    """What is wrong with a token. The text contains no part of the token."""
    if isinstance(error, _NoUserId):
        return "the token has no user id (MEW_JWT_USER_CLAIM)"
    return next((text for kind, text in _REASONS.items() if isinstance(error, kind)), "the token is no JWT")


def _user_id(claim: Json) -> str:
    if isinstance(claim, int) and not isinstance(claim, bool):
        claim = str(claim)
    if not isinstance(claim, str) or not claim:
        raise _NoUserId("the user claim must be a non-empty string")
    claim.encode()  # raises for half a surrogate pair, which UTF-8 cannot encode
    return claim
