"""Where recovery sessions are kept."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import OrderedDict
from typing import Final, Protocol

from asgi_realtime.recovery.session import RecoverySession
from asgi_realtime.values.ids import ConnectionId, GatewayName

SESSIONS: Final = 10_000
STORE_BYTES: Final = 64 * 1024 * 1024


class SessionStore(Protocol):
    """Keeps recovery sessions until they are claimed or expire."""

    def save(self, session: RecoverySession) -> None:
        """Keep a session. Never waits and never raises. Over a limit the oldest sessions are removed."""

    async def claim(self, gateway: GatewayName, connection_id: ConnectionId, now: float) -> RecoverySession | None:
        """Remove and return a session. None: there is none, or it has been claimed already."""


class MemorySessionStore:
    """A `SessionStore` of one process.

    Args:
        limit: most sessions. Over: the oldest is removed. Also if they have more bytes than the limit.
        limit_bytes: most bytes of all sessions.
    """

    def __init__(self, *, limit: int = SESSIONS, limit_bytes: int = STORE_BYTES) -> None:
        self._limit = limit
        self._limit_bytes = limit_bytes
        self._bytes = 0
        # In the order in which they were saved. All are kept for the same time, so the oldest expires first.
        self._sessions: OrderedDict[tuple[GatewayName, ConnectionId], RecoverySession] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def save(self, session: RecoverySession) -> None:
        """Keep a session; see `SessionStore.save`."""
        key = session.gateway, session.connection_id
        self._pop(key)
        self._sessions[key] = session
        self._bytes += session.size
        while len(self._sessions) > self._limit or self._bytes > self._limit_bytes:
            self._pop(next(iter(self._sessions)))

    async def claim(self, gateway: GatewayName, connection_id: ConnectionId, now: float) -> RecoverySession | None:
        """Remove and return a session; see `SessionStore.claim`."""
        session = self._pop((gateway, connection_id))
        return session if session is not None and session.expires_at > now else None

    def set_presence_left(self, gateway: GatewayName, connection_id: ConnectionId, task: asyncio.Task[None]) -> None:
        """Add the task in which a lost connection leaves presence."""
        session = self._sessions.get((gateway, connection_id))
        if session is not None:
            self._sessions[gateway, connection_id] = dataclasses.replace(session, presence_left=task)

    def expire(self, now: float) -> float | None:
        """Remove the sessions that have expired. Returns when the next one expires. None: there is none."""
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if session.expires_at > now:
                return session.expires_at
            self._pop(key)
        return None

    def _pop(self, key: tuple[GatewayName, ConnectionId]) -> RecoverySession | None:
        session = self._sessions.pop(key, None)
        if session is not None:
            self._bytes -= session.size
        return session
