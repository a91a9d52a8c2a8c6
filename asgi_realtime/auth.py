"""Who is connecting: where tokens are found, how they are verified, and what opens the Infra gateway.

Whatever is wrong with a credential, the client is told the same, and nothing of it gets into a log.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

import jwt

from asgi_realtime.claims import Claims
from asgi_realtime.errors import ConfigurationError, Unauthorized
from asgi_realtime.ids import Id, id_text
from asgi_realtime.jwks import JWKS
from asgi_realtime.keys import PublicKey, load_public_key
from asgi_realtime.messages import Handshake, Identity, Json, UserId
from asgi_realtime.revocations import Revocations
from asgi_realtime.settings import Settings

if TYPE_CHECKING:
    from jwt.types import Options

Authenticator: TypeAlias = Callable[[Handshake], Awaitable[Identity] | Identity]
"""Says who a handshake comes from, or raises `Unauthorized`. A plain function runs in a thread."""

TokenSource: TypeAlias = Callable[[Handshake], str | None]
"""Finds the token in a handshake; None when it carries none there. May raise `Unauthorized`."""

# What PyJWT (TypeError: some releases of it), and the JSON and base64 readers below it, raise on what is no token.
_NOT_A_TOKEN = (jwt.PyJWTError, ValueError, TypeError, OverflowError, RecursionError)


def from_auth(name: str) -> TokenSource:
    """The token in the authentication payload: `io(url, {auth: {token}})`, or a JSON `auth` frame."""

    def find(handshake: Handshake) -> str | None:
        token = handshake.auth.get(name) if isinstance(handshake.auth, dict) else None
        if token is not None and not isinstance(token, str):
            raise Unauthorized(log_reason="the token is no text")
        return token or None

    return find


def from_cookie(name: str) -> TokenSource:
    """The token in a cookie."""
    return lambda handshake: handshake.cookies.get(name) or None


def from_query(name: str) -> TokenSource:
    """The token in the query. Proxies log queries: for clients only that can send nothing else."""
    return lambda handshake: handshake.query.get(name) or None


def from_bearer() -> TokenSource:
    """The token in an `Authorization: Bearer` header."""

    def find(handshake: Handshake) -> str | None:
        scheme, _, token = handshake.headers.get("authorization", "").partition(" ")
        return token.strip() or None if scheme.lower() == "bearer" else None

    return find


class JWTVerifier:
    """Turns a JSON Web Token into an identity: by a shared secret, a public key, or published keys.

    Raises:
        ConfigurationError: when the settings name no key.
    """

    def __init__(self, settings: Settings) -> None:
        settings.require_jwt_key()
        self._settings = settings
        self._longest = settings.limits.handshake_bytes
        self._options: Options = {
            "verify_aud": settings.jwt_audience is not None,
            "verify_iss": settings.jwt_issuer is not None,
            # Not asked for by PROTOCOLS.md: `iat` ahead of our clock, numbers as `sub` and `jti`.
            **{"verify_iat": False, "verify_sub": False, "verify_jti": False},
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
        """Check signature, `exp`, `nbf`, and `aud` and `iss` where configured. Waits only for published keys.

        The identity's user id is the configured claim (a number is written out), its expiry `exp`
        with the leeway.

        Raises:
            Unauthorized: for whatever reason. The kind of it is its `log_reason`.
        """
        try:
            if len(token) > self._longest:
                raise jwt.DecodeError
            key, algorithms = (
                (self._key, self._algorithms)
                if self._published is None
                else await self._published_key(self._published, token)
            )
            settings = self._settings
            claims = jwt.decode(
                token,
                key,
                algorithms=algorithms,
                audience=settings.jwt_audience,
                issuer=settings.jwt_issuer,
                leeway=settings.jwt_leeway,
                options=self._options,
            )
            return Identity(
                user_id=_user_id(claims.get(settings.jwt_user_claim)),
                claims=Claims(claims),
                expires_at=float(claims["exp"]) + settings.jwt_leeway if "exp" in claims else None,
            )
        except _NOT_A_TOKEN as error:
            raise Unauthorized(log_reason=_reason(error)) from None

    async def _published_key(self, published: JWKS, token: str) -> tuple[str | PublicKey, Sequence[str]]:
        header = jwt.get_unverified_header(token)
        # Before anything is fetched: a token that could not be accepted anyway costs nobody a fetch.
        if header.get("alg") not in self._algorithms:
            raise jwt.InvalidAlgorithmError
        found = await published.find(header.get("kid"))
        if found is None:
            raise jwt.InvalidKeyError
        return found.key, [name for name in found.algorithms if name in self._algorithms]


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
    """The claim with the user id is missing, or of another kind."""


def _reason(error: Exception) -> str:
    """What is wrong with a token, in words without anything of it."""
    if isinstance(error, _NoUserId):
        return "the token has no user id (MEW_JWT_USER_CLAIM)"
    return next((text for kind, text in _REASONS.items() if isinstance(error, kind)), "the token is no JWT")


def _user_id(claim: Json) -> UserId:
    if isinstance(claim, int) and not isinstance(claim, bool):
        claim = str(claim)
    if not isinstance(claim, str) or not claim:
        raise _NoUserId("the user claim must be a non-empty string")
    claim.encode()  # half a character (a lone surrogate) could never be sent to anybody
    return UserId(claim)


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
        return Identity(user_id=UserId(f"service:{service_type}"), claims={"serviceType": service_type})

    def _is_secret(self, presented: bytes | None) -> bool:
        return self._secret is not None and presented is not None and hmac.compare_digest(presented, self._secret)

    def _is_in_query(self, handshake: Handshake) -> bool:
        return any(
            "secret" in name.lower() or self._is_secret(_encode(value)) for name, value in handshake.query.items()
        )


def _encode(value: Json) -> bytes | None:
    return value.encode("utf-8", "replace") if isinstance(value, str) else None


def create_token(user_id: Id, settings: Settings, *, expires_in: float | None = 3600, **claims: Any) -> str:
    """Make a token that a `JWTVerifier` with the same settings accepts: for development logins and tests.

    It expires after `expires_in` seconds (None: never). Further claims are added, and replace those
    made here.

    Raises:
        ConfigurationError: when there is no shared secret to sign with.
    """
    if not settings.jwt_secret:
        raise ConfigurationError("tokens can be made with MEW_JWT_SECRET only; set it, or MEW_DEV=true")
    # With its fraction: a token made after a revocation, in the same second, must be told apart.
    now = time.time()
    made: dict[str, Any] = {
        "iat": now,
        "jti": secrets.token_urlsafe(12),
        settings.jwt_user_claim: id_text(user_id, "user_id"),
    }
    if expires_in is not None:
        made["exp"] = now + expires_in
    if settings.jwt_audience is not None:
        made["aud"] = settings.jwt_audience
    if settings.jwt_issuer is not None:
        made["iss"] = settings.jwt_issuer
    return jwt.encode(made | claims, settings.jwt_secret, algorithm=settings.algorithms[0])
