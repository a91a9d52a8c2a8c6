"""Who may use the console: holders of a session cookie, and those whom the host's own check lets in."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from collections.abc import Callable
from typing import Final, NamedTuple

from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.host_calls import HostCall
from asgi_realtime.runtime.tasks import contained
from asgi_realtime.values.handshake import Handshake

COOKIE: Final = "realtime_console"
"""The name of the session cookie."""
MINIMUM_SECRET_BYTES: Final = 16

_FORM = re.compile(r"([0-9]{1,12})\.([0-9a-f]{16})\.([0-9a-f]{64})")


class Session(NamedTuple):
    """A session of the console."""

    id: str
    expires_at: float
    """Seconds since the epoch."""


class Access:
    """Compares secrets in constant time, and makes and reads session cookies.

    A cookie holds its expiry, a random id and a signature. Nothing is stored for it, so every process of the app
    accepts it. The key of the signature is made of the secret and the path: a cookie of another app or console is not
    valid, and a new secret ends all sessions.

    Args:
        secret: the console's secret. None: there is no login by a secret.
        check: the host's own check, which returns True for those it lets in. None: there is none.
        path: where the console is mounted.
        seconds: how long a session lasts.
        clock: returns seconds since the epoch.
    """

    def __init__(
        self,
        *,
        secret: str | None,
        check: HostCall | None,
        path: str,
        seconds: float,
        clock: Callable[[], float] = time_source.read_wall,
    ) -> None:
        self.seconds = seconds
        self._check = check
        self._clock = clock
        self._digest = None if secret is None else _digest(secret)
        self._key = None if secret is None else hmac.digest(secret.encode(), f"session of {path}".encode(), "sha256")

    @property
    def has_login(self) -> bool:
        """Whether there is a secret to log in by."""
        return self._digest is not None

    def is_secret(self, presented: str) -> bool:
        """Whether this is the secret. The time that it takes does not depend on how much of it is right."""
        return self._digest is not None and hmac.compare_digest(_digest(presented), self._digest)

    def new_cookie(self) -> str:
        """The value of a cookie for one more session."""
        assert self._key is not None
        signed = f"{int(self._clock() + self.seconds)}.{secrets.token_hex(8)}"
        return f"{signed}.{_signature(self._key, signed)}"

    async def session(self, handshake: Handshake) -> Session | None:
        """The session of a request. None: it has none, and may not use the console.

        Raises what the host's check raised.
        """
        found = self._read(handshake.cookies.get(COOKIE, ""))
        if found is None and self._check is not None and await contained(self._check(handshake)) is True:
            return Session(secrets.token_hex(8), self._clock() + self.seconds)
        return found

    def _read(self, cookie: str) -> Session | None:
        match = _FORM.fullmatch(cookie)
        if match is None or self._key is None:
            return None
        expires, id, signature = match.groups()
        if not hmac.compare_digest(signature, _signature(self._key, f"{expires}.{id}")):
            return None
        now = self._clock()
        # A later expiry was signed when sessions lasted longer.
        return Session(id, float(expires)) if now < int(expires) <= now + self.seconds else None


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def _signature(key: bytes, signed: str) -> str:
    return hmac.digest(key, signed.encode(), "sha256").hex()
