"""What is in a token, whether the settings accept it, and what to do if they do not."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jwt
import msgspec

from asgi_realtime.auth.jwt_verifier import InvalidToken, JWTVerifier
from asgi_realtime.cli.times import describe_time
from asgi_realtime.errors import ConfigurationError, Unauthorized
from asgi_realtime.settings import Settings

_TIMES = {"exp": "expires", "nbf": "valid from", "iat": "issued"}


class TokenReport(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a token, and the answer. Without a reason it is valid."""

    valid: bool
    reason: str | None
    """Why it is not valid."""
    remedy: str | None
    """What to do."""
    user_id: str | None
    """The user of a valid token."""
    header: dict[str, Any]
    claims: dict[str, Any]

    def rows(self, now: float) -> list[tuple[str, str]]:
        """The report as lines: a name and a text each. `now`: seconds since 1970."""
        rows = [("valid", "yes")] if self.valid else [("not valid", self.reason or ""), ("remedy", self.remedy or "")]
        if self.user_id is not None:
            rows.append(("user", self.user_id))
        times = [(_TIMES[name], self.claims[name]) for name in _TIMES if name in self.claims]
        rows += [(name, describe_time(value, now) if _is_number(value) else _text(value)) for name, value in times]
        if self.claims and "exp" not in self.claims:
            rows.append(("expires", "never"))
        rows += [(f"header {name}", _text(value)) for name, value in self.header.items()]
        rows += [(f"claim {name}", _text(value)) for name, value in self.claims.items()]
        return rows


async def inspect_token(token: str, settings: Settings, *, unverifiable: str | None = None) -> TokenReport:
    """Decode a token and verify it as the app does. With `MEW_JWKS_URL` the keys are fetched.

    `unverifiable`: why it cannot be verified, if the caller knows that already.
    """
    header, claims = _parts(token)
    user_id = reason = remedy = None
    try:
        if unverifiable is not None:
            raise ConfigurationError(unverifiable)
        user_id = (await JWTVerifier(settings).verify(token)).user_id
    except ConfigurationError as error:
        reason, _, remedy = str(error).partition("; " if unverifiable else ": ")
    except Unauthorized as refused:
        reason = InvalidToken(refused.log_reason)
        remedy = remedy_of(reason, token, header, claims, settings)
    return TokenReport(
        valid=reason is None, reason=reason, remedy=remedy, user_id=user_id, header=header, claims=claims
    )


def _parts(token: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims. Each is empty if it cannot be decoded."""
    header: dict[str, Any] = {}
    try:
        header = jwt.get_unverified_header(token)
        return header, jwt.decode(token, options={"verify_signature": False})
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return header, {}


def remedy_of(
    reason: InvalidToken, token: str, header: Mapping[str, Any], claims: Mapping[str, Any], settings: Settings
) -> str:
    """What to do about a token that is not accepted."""
    match reason:
        case InvalidToken.EXPIRED:
            return "log in again, or make a new one; if the clocks of the machines differ, set MEW_JWT_LEEWAY"
        case InvalidToken.NOT_YET:
            return "wait until then; if the clocks of the machines differ, set MEW_JWT_LEEWAY"
        case InvalidToken.AUDIENCE:
            return f"it is for {_text(claims.get('aud'))}, and MEW_JWT_AUDIENCE is {_text(settings.jwt_audience)}"
        case InvalidToken.ISSUER:
            return f"it is of {_text(claims.get('iss'))}, and MEW_JWT_ISSUER is {_text(settings.jwt_issuer)}"
        case InvalidToken.MISSING_CLAIM:
            return f"its claims are {_names(claims)}; let the issuer add the missing one, or unset the variable"
        case InvalidToken.ALGORITHM:
            return (
                f"it is signed with {_text(header.get('alg'))}, and accepted are {', '.join(settings.algorithms)}; set "
                "MEW_JWT_ALGORITHMS, or the variable for this kind of key: MEW_JWT_SECRET for HS*, MEW_JWT_PUBLIC_KEY "
                "or MEW_JWKS_URL for the others"
            )
        case InvalidToken.SIGNATURE:
            return _signature_remedy(settings)
        case InvalidToken.UNPUBLISHED:
            return (
                f"no key with the kid {_text(header.get('kid'))} is at MEW_JWKS_URL, or the keys could not be fetched; "
                "compare the kid with those published there"
            )
        case InvalidToken.NO_USER_ID:
            return (
                f"the claim {settings.jwt_user_claim} must be a text or a whole number, and its claims are "
                f"{_names(claims)}; set MEW_JWT_USER_CLAIM to the one with the user id"
            )
        case InvalidToken.RESERVED_USER_ID:
            return (
                f"let the claim {settings.jwt_user_claim} begin otherwise, or let the service present MEW_ADMIN_SECRET "
                "instead of a token"
            )
        case InvalidToken.NOT_A_JWT:
            return _shape_remedy(token, header, claims, settings)


def _signature_remedy(settings: Settings) -> str:
    if settings.jwt_secret:
        return "give the app and the issuer the same MEW_JWT_SECRET: quotes and spaces at its ends are part of it"
    if settings.jwt_public_key:
        return "set MEW_JWT_PUBLIC_KEY to the public key of the private key that the issuer signs with now"
    return "the issuer signs with another key than it publishes under this kid at MEW_JWKS_URL"


def _shape_remedy(token: str, header: Mapping[str, Any], claims: Mapping[str, Any], settings: Settings) -> str:
    longest = settings.limits.handshake_bytes
    if len(token) > longest:
        return f"it has {len(token)} characters; MEW_HANDSHAKE_BYTES allows {longest}"
    if claims:
        return "exp and nbf must be numbers, in seconds since 1970"
    if header:
        return "the second part, the claims, must be a JSON object in base64url"
    parts = token.count(".") + 1
    if parts != 3:
        return f"a JWT has three parts in base64url, with dots between them; this text has {parts}"
    return "each part must be base64url, and the first one, the header, a JSON object"


def _names(claims: Mapping[str, Any]) -> str:
    return ", ".join(claims) or "none"


def _text(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
