"""Deadlines for the first `auth` frame."""

from __future__ import annotations

import asyncio
from typing import Protocol

from asgi_realtime.runtime.timers import TimerWheel


class AwaitingAuth(Protocol):
    """A client that has not sent its token."""

    def on_token_deadline(self) -> None:
        """The time for the first `auth` frame is over."""


class AuthDeadlines:
    """Gives each client `seconds` to send its token.

    All have the same time, so the client that came first is due first. One entry of the wheel serves them all, and
    a client that has sent its token is forgotten.
    """

    __slots__ = ("_deadlines", "_scheduled", "_seconds", "_wheel")

    def __init__(self, wheel: TimerWheel, seconds: float) -> None:
        self._wheel = wheel
        self._seconds = seconds
        self._deadlines: dict[AwaitingAuth, float] = {}
        self._scheduled = False

    def add(self, client: AwaitingAuth) -> None:
        """Wait for the token of a client."""
        deadline = asyncio.get_running_loop().time() + self._seconds
        self._deadlines[client] = deadline
        if not self._scheduled:
            self._scheduled = True
            self._wheel.schedule(deadline, self)

    def discard(self, client: AwaitingAuth) -> None:
        """The client has sent its token, or is gone."""
        self._deadlines.pop(client, None)

    def on_deadline(self, now: float) -> float | None:
        """Call `on_token_deadline` of each client whose time is over. Returns when the next one is due."""
        while self._deadlines:
            client, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                return deadline
            del self._deadlines[client]
            client.on_token_deadline()
        self._scheduled = False
        return None
