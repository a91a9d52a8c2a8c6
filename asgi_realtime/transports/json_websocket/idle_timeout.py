"""Ends clients that send nothing for too long."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from asgi_realtime.runtime.timers import TimerWheel, WeakOwner

_CHECK_SECONDS: Final = 60.0
"""Most seconds between two checks. The timer wheel keeps a client that has left no longer than this."""


class IdleClient(Protocol):
    """A client with an idle timeout."""

    def on_idle_timeout(self) -> None:
        """It has sent nothing for too long."""


class IdleTimeout:
    """The idle timeout of one client, on the timer wheel that all share.

    Time in which nothing is read from the client does not count: what it has sent may wait unread.
    """

    __slots__ = ("__weakref__", "_client", "_seconds", "_since")

    def __init__(self, client: IdleClient, seconds: float, wheel: TimerWheel) -> None:
        now = asyncio.get_running_loop().time()
        self._client = client
        self._seconds = seconds
        self._since: float | None = now  # None while nothing is read
        wheel.schedule(self._next_check(now), WeakOwner(self, IdleTimeout.on_deadline))

    def restart(self) -> None:
        """The client has sent a message, or is read again: its time starts over."""
        self._since = asyncio.get_running_loop().time()

    def pause(self) -> None:
        """Nothing is read from the client, until `restart`."""
        self._since = None

    def on_deadline(self, now: float) -> float | None:
        """End the client if it was silent for too long. Returns when to look again."""
        check = self._next_check(now)
        if check > now:
            return check
        self._client.on_idle_timeout()
        return None

    def _next_check(self, now: float) -> float:
        since = now if self._since is None else self._since
        return min(since + self._seconds, now + _CHECK_SECONDS)
