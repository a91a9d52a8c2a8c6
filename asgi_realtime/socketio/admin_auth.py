"""The authentication of administrators in the Admin UI."""

from __future__ import annotations

import hmac
import inspect
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from asgi_realtime.runtime import time_source
from asgi_realtime.values.json import Json

Credentials: TypeAlias = Mapping[str, str]
AdminAuth: TypeAlias = Credentials | Sequence[Credentials] | Callable[[Json], bool | Awaitable[bool]] | Literal[False]
"""The credentials of one administrator or of several, a function that checks the CONNECT payload, or False: none."""

logger = logging.getLogger("asgi_realtime.socketio")

_SESSIONS = 1_000
"""Sessions that are kept. Over it the oldest ends."""
_SESSION_SECONDS = 24 * 3600.0


class AdminAuthenticator:
    """Compares credentials in constant time, and creates sessions so that a reload of the page needs no password.

    Raises:
        ValueError: without credentials. `False` turns the check off.
    """

    def __init__(self, auth: AdminAuth | None) -> None:
        if auth is None or (auth is not False and not callable(auth) and not auth):
            raise ValueError("auth must be specified")
        if auth is False:
            logger.warning("the Admin UI requires no credentials: every client may use it")
        self._auth = auth
        self._sessions: OrderedDict[str, float] = OrderedDict()

    async def authenticate(self, presented: Json) -> bool:
        """Whether the payload of a CONNECT has valid credentials, or a session."""
        if self._auth is False:
            return True
        if isinstance(presented, dict) and self._is_session(presented.get("sessionId")):
            return True
        if callable(self._auth):
            valid = self._auth(presented)
            return bool(await valid if inspect.isawaitable(valid) else valid)
        known = [self._auth] if isinstance(self._auth, Mapping) else self._auth
        # All are compared, so that the time does not reveal which of them was close.
        return any([_same(credentials, presented) for credentials in known])

    def create_session(self) -> str:
        """The id of a new session, which lasts for 24 hours, or until there are 1,000 newer ones."""
        session = secrets.token_urlsafe(24)
        self._sessions[session] = time_source.monotonic() + _SESSION_SECONDS
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def _is_session(self, session: Json) -> bool:
        return isinstance(session, str) and self._sessions.get(session, 0.0) > time_source.monotonic()


def _same(credentials: Credentials, presented: Json) -> bool:
    if not isinstance(presented, dict) or presented.keys() != credentials.keys():
        return False
    return all(
        [
            hmac.compare_digest(str(value).encode(), str(presented[name]).encode("utf-8", "replace"))
            for name, value in credentials.items()
        ]
    )
