"""Closes connections whose token has expired."""

from __future__ import annotations

import weakref

from asgi_realtime.connection.connection import Connection, internal
from asgi_realtime.runtime import time_source
from asgi_realtime.values.identity import Identity

_EXPIRY_CHECK = 60.0
"""Most seconds between two checks of an expiry. The entry of a connection that has ended is kept no longer."""


class Expiry(weakref.ref[Connection]):
    """Ends a connection whose token has expired, unless it is gone or has a newer token. For the timer wheel."""

    __slots__ = ("_identity",)

    _identity: Identity

    def __new__(cls, connection: Connection) -> Expiry:
        """Watch the token that the connection has now."""
        expiry = super().__new__(cls, connection)
        expiry._identity = connection.identity
        return expiry

    def on_deadline(self, now: float) -> float | None:
        """Check the token. Returns the time of the next check, or None for none."""
        connection = self()
        if connection is None or connection.closed or connection.identity is not self._identity:
            return None
        assert self._identity.expires_at is not None
        remaining = self._identity.expires_at - time_source.wall()
        if remaining <= 0:
            internal(connection).end(1008, "token expired")
            return None
        return now + min(remaining, _EXPIRY_CHECK)
