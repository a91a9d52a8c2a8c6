"""Who may use the Admin UI."""

from __future__ import annotations

import hmac
import inspect
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, TypeAlias

from asgi_realtime.values.json import Json

Credentials: TypeAlias = Mapping[str, str]
AdminAuth: TypeAlias = Credentials | Sequence[Credentials] | Callable[[Json], bool | Awaitable[bool]] | Literal[False]
"""The credentials of one administrator or of several, a function that checks what was presented, or False: no check."""

logger = logging.getLogger("asgi_realtime.socketio")

_SESSIONS = 1_000
_SESSION_SECONDS = 24 * 3600.0


class AdminDoor:
    """Checks credentials in constant time, and gives out sessions so that a page reload needs no password.

    Raises:
        ValueError: for no credentials at all. That nobody is asked has to be said: False.
    """

    def __init__(self, auth: AdminAuth | None) -> None:
        if auth is None or (auth is not False and not callable(auth) and not auth):
            raise ValueError("auth must be specified")
        if auth is False:
            logger.warning("the Admin UI asks for no credentials: anybody may use it")
        self._auth = auth
        self._sessions: OrderedDict[str, float] = OrderedDict()

    async def admits(self, presented: Json) -> bool:
        """Whether the payload of a CONNECT opens the door."""
        if self._auth is False:
            return True
        if isinstance(presented, dict) and self._is_session(presented.get("sessionId")):
            return True
        if callable(self._auth):
            admitted = self._auth(presented)
            return bool(await admitted if inspect.isawaitable(admitted) else admitted)
        known = [self._auth] if isinstance(self._auth, Mapping) else self._auth
        # Every one is compared, so that the time tells nothing about which was close.
        return any([_same(credentials, presented) for credentials in known])

    def new_session(self) -> str:
        """A session for an administrator who was let in; for a day, or until there are too many."""
        session = secrets.token_urlsafe(24)
        self._sessions[session] = time.monotonic() + _SESSION_SECONDS
        if len(self._sessions) > _SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def _is_session(self, session: Json) -> bool:
        return isinstance(session, str) and self._sessions.get(session, 0.0) > time.monotonic()


def _same(credentials: Credentials, presented: Json) -> bool:
    if not isinstance(presented, dict) or presented.keys() != credentials.keys():
        return False
    return all(
        [
            hmac.compare_digest(str(value).encode(), str(presented[name]).encode("utf-8", "replace"))
            for name, value in credentials.items()
        ]
    )
