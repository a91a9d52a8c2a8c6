"""Clients that have yet to say who they are."""

from __future__ import annotations

import asyncio
from typing import Protocol

from asgi_realtime.runtime.timers import TimerWheel


class AwaitingAuth(Protocol):
    """One of them."""

    def token_due(self) -> None:
        """The time for the first `auth` frame is over."""


class AuthDeadlines:
    """Gives each `seconds` to send a token. They all have the same time, so that who came first is due first.

    One entry of the wheel is for all of them, and nothing is left of a client that has sent its token.
    """

    __slots__ = ("_deadlines", "_seconds", "_watched", "_wheel")

    def __init__(self, wheel: TimerWheel, seconds: float) -> None:
        self._wheel = wheel
        self._seconds = seconds
        self._deadlines: dict[AwaitingAuth, float] = {}
        self._watched = False

    def add(self, newcomer: AwaitingAuth) -> None:
        """One has come."""
        deadline = asyncio.get_running_loop().time() + self._seconds
        self._deadlines[newcomer] = deadline
        if not self._watched:
            self._watched = True
            self._wheel.schedule(deadline, self)

    def discard(self, newcomer: AwaitingAuth) -> None:
        """One has sent its token, or is gone."""
        self._deadlines.pop(newcomer, None)

    def due(self, now: float) -> float | None:
        """Tell those whose time is over, and say when that of the next one is."""
        while self._deadlines:
            newcomer, deadline = next(iter(self._deadlines.items()))
            if deadline > now:
                return deadline
            del self._deadlines[newcomer]
            newcomer.token_due()
        self._watched = False
        return None
