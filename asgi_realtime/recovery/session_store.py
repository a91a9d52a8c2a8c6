"""Where recovery sessions are kept."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final, Protocol

from asgi_realtime.recovery.session import RecoverySession, SessionId
from asgi_realtime.runtime.timers import TimerWheel
from asgi_realtime.values.identity import Identity

SESSIONS: Final = 100_000
"""Most sessions of lost connections that one process keeps."""
STORE_BYTES: Final = 64 * 1024 * 1024
"""Most bytes of them: about 60 000 clients with a few rooms."""


class SessionStore(Protocol):
    """Keeps recovery sessions until they are claimed or expire. All but `start`, `stop` and `claim` never wait."""

    async def start(self) -> None:
        """Begin on the running event loop."""

    async def stop(self) -> None:
        """The process ends: write what must still be written."""

    def new_owner(self) -> str:
        """Names a connection of this process. A session belongs to one connection at a time."""

    def save(self, session: RecoverySession, owner: str) -> None:
        """Keep the session of a lost connection. Over a limit the oldest sessions are removed."""

    def remove(self, id: SessionId, owner: str) -> None:
        """A connection has ended, and its client cannot recover."""

    async def claim(self, id: SessionId, owner: str, accept: Callable[[Identity], bool]) -> RecoverySession | None:
        """Give a session to the connection `owner`. None: there is none, or it has been claimed already.

        `accept` is asked with the identity of the earlier connection. False: the session stays as it is.

        Raises:
            BrokerUnavailable: the store did not answer.
        """


class MemorySessionStore:
    """A `SessionStore` of one process.

    Args:
        wheel: timers.
        window: seconds that a session is kept.
        limit: most sessions. Over: the oldest is removed. Also if they have more bytes than the limit.
        limit_bytes: most bytes of all sessions.
    """

    def __init__(
        self, *, wheel: TimerWheel, window: float, limit: int = SESSIONS, limit_bytes: int = STORE_BYTES
    ) -> None:
        self._wheel = wheel
        self._window = window
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        self._scheduled = False
        # In the order in which they were saved. All are kept for the same time, so the oldest expires first.
        self._sessions: OrderedDict[SessionId, tuple[float, RecoverySession]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    async def start(self) -> None:
        """Begin without sessions."""
        self._sessions.clear()
        self._bytes = 0
        self._scheduled = False

    async def stop(self) -> None:
        """The sessions end with the process."""

    def new_owner(self) -> str:
        """There is one process."""
        return ""

    def save(self, session: RecoverySession, owner: str) -> None:
        """Keep the session of a lost connection; see `SessionStore.save`."""
        self._pop(session.id)
        expires_at = asyncio.get_running_loop().time() + self._window
        self._sessions[session.id] = expires_at, session
        self._bytes += session.size
        while len(self._sessions) > self._limit or self._bytes > self._limit_bytes:
            self._pop(next(iter(self._sessions)))
        if not self._scheduled:
            self._scheduled = True
            self._wheel.schedule(expires_at, self)

    def remove(self, id: SessionId, owner: str) -> None:
        """Open connections are in the hub."""

    async def claim(self, id: SessionId, owner: str, accept: Callable[[Identity], bool]) -> RecoverySession | None:
        """Remove and return a session; see `SessionStore.claim`."""
        expires_at, session = self._sessions.get(id, (0.0, None))
        if session is None or not accept(session.identity):
            return None
        self._pop(id)
        return session if expires_at > asyncio.get_running_loop().time() else None

    def on_deadline(self, now: float) -> float | None:
        """Remove the sessions that have expired; see `TimerWheel`."""
        while self._sessions:
            id, (expires_at, _) = next(iter(self._sessions.items()))
            if expires_at > now:
                return expires_at
            self._pop(id)
        self._scheduled = False
        return None

    def _pop(self, id: SessionId) -> None:
        _, session = self._sessions.pop(id, (0.0, None))
        if session is not None:
            self._bytes -= session.size
