"""Authenticates clients by Django's session cookie."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user
from django.contrib.sessions.backends.db import SessionStore as DatabaseStore
from django.core.exceptions import DisallowedHost
from django.http import HttpRequest
from django.utils.crypto import salted_hmac

from asgi_realtime.auth.authenticators import JWTAuthenticator
from asgi_realtime.auth.token_sources import TokenSource, token_from_cookie
from asgi_realtime.errors import Unauthorized
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.host_threads import run_in_thread
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.json import Json


class SessionAuthenticator:
    """An authenticator for the users of `AuthenticationMiddleware`: `SocketIOGateway(authenticator=...)`.

    It reads the cookie `SESSION_COOKIE_NAME` with the project's `SESSION_ENGINE` and `AUTHENTICATION_BACKENDS`. The
    session and the password's hash must be valid, and the user active. The request's host must be in
    `ALLOWED_HOSTS`. A gateway accepts cookies only from pages of the same origin and of origins listed by name in
    `MEW_CORS_ORIGINS`.

    The identity has the user's primary key as `user_id`. Its claims have `username`, `is_staff`, `iat` and `jti` (what
    `revoke_token` takes). `jti` identifies the session, and is no secret.

    The identity expires at the date that the session has at the handshake: the `expire_date` of a session in the
    database (`db`, `cached_db`), or that of `set_expiry(date)`. Other engines do not tell when a session was saved
    last. There the identity expires `SESSION_COOKIE_AGE` seconds after the handshake, or those of
    `set_expiry(seconds)`.

    Args:
        claims: returns further claims for a user. It runs in a thread, and may use the ORM.
        tokens: clients that present a token are authenticated by this authenticator, and need no session.
    """

    def __init__(
        self,
        *,
        claims: Callable[[Any], Mapping[str, Json]] | None = None,
        tokens: JWTAuthenticator | None = None,
    ) -> None:
        self._claims = claims
        self._tokens = tokens

    @property
    def token_sources(self) -> Sequence[TokenSource]:
        """Where clients put their credentials, for descriptions of a gateway."""
        tokens = () if self._tokens is None else self._tokens.token_sources
        return (*tokens, token_from_cookie(settings.SESSION_COOKIE_NAME))

    async def __call__(self, handshake: Handshake) -> Identity:
        """Authenticate a handshake.

        Raises:
            Unauthorized: the session is not valid, or has no active user.
        """
        if self._tokens is not None and any(source(handshake) is not None for source in self._tokens.token_sources):
            return await self._tokens(handshake)
        return await run_in_thread(self._from_session, handshake)

    def _from_session(self, handshake: Handshake) -> Identity:
        key = handshake.cookies.get(settings.SESSION_COOKIE_NAME)
        if not key:
            raise Unauthorized(log_reason="no session cookie")
        now = time_source.wall()  # before the user is read: what is revoked from here on must end this connection
        request = _request(handshake)
        try:
            request.get_host()
        except DisallowedHost:
            raise Unauthorized(log_reason="the host is not in ALLOWED_HOSTS") from None
        session = import_module(settings.SESSION_ENGINE).SessionStore(key)
        request.session = _Snapshot(session.items())
        user = get_user(request)
        if not user.is_authenticated:
            raise Unauthorized(log_reason="the session is not valid, or has no user")
        if not user.is_active:
            raise Unauthorized(log_reason="the user is not active")
        claims: dict[str, Json] = {"username": user.get_username(), "is_staff": bool(getattr(user, "is_staff", False))}
        if self._claims is not None:
            claims |= self._claims(user)
        return Identity(
            user_id=str(user.pk),
            claims={**claims, "iat": now, "jti": session_id(key)},
            expires_at=now + _remaining(session),
        )


def _remaining(session: Any) -> int:
    """Return the seconds until a session expires. `get_expiry_age()` alone takes it for one that is saved now."""
    if isinstance(session, DatabaseStore):
        rows = session.get_model_class().objects.filter(session_key=session.session_key)
        expiry = rows.values_list("expire_date", flat=True).first()
        if expiry is not None:
            return int(session.get_expiry_age(expiry=expiry))
    return int(session.get_expiry_age())


def session_id(key: str) -> str:
    """Return the id of a session for the claims. The key itself is a credential, and a hash of it is none."""
    return str(salted_hmac("asgi_realtime.django.session", key, algorithm="sha256").hexdigest())


class _Snapshot(dict[str, Any]):
    """The values of a session. Django may not change the session here: the browser would not get the new cookie."""

    def cycle_key(self) -> None:
        """Django does this for a session of an earlier `SECRET_KEY`."""

    def flush(self) -> None:
        """Django does this for a session whose user has another password now."""


def _request(handshake: Handshake) -> HttpRequest:
    request = HttpRequest()
    request.method = "GET"
    request.path = request.path_info = handshake.path
    # As in Django: `x_forwarded_host` must not pass for `x-forwarded-host`.
    names = {name: f"HTTP_{name.upper().replace('-', '_')}" for name in handshake.headers if "_" not in name}
    request.META = {meta: handshake.headers[name] for name, meta in names.items()}
    request.META |= {"SERVER_NAME": "", "SERVER_PORT": "", "REMOTE_ADDR": handshake.client_address or ""}
    return request
