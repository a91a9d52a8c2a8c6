"""When to ping a client, and when to give it up. Pure: the clock comes in with each call."""

from __future__ import annotations

import enum


class HeartbeatAction(enum.Enum):
    """What a check of the heartbeat found."""

    NONE = "none"
    PING = "ping"
    """A ping is to be sent."""
    EXPIRED = "expired"
    """The pong did not come."""


class Heartbeat:
    """The server pings `interval` seconds after the last pong, and wants the next one within `timeout` seconds."""

    __slots__ = ("_interval", "_expired_once", "_ping_at", "_pong_by", "_timeout")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._ping_at = now + interval
        self._pong_by: float | None = None
        self._expired_once = False

    def check(self, now: float, *, reading: bool) -> HeartbeatAction:
        """What time demands now.

        While the client is not being read its pong may lie unread: the deadline moves on. A
        deadline found passed is looked at once more, because after a stall of the event loop the
        pong may be waiting in the socket's buffer.
        """
        if self._pong_by is None:
            if now < self._ping_at:
                return HeartbeatAction.NONE
            # Counted from when the ping was due, unless we are so late that the client would pay for it.
            self._pong_by = max(self._ping_at, now - self._timeout / 4) + self._timeout
            self._expired_once = False
            return HeartbeatAction.PING
        if not reading:
            self._pong_by = max(self._pong_by, now + self._timeout)
        elif now >= self._pong_by:
            if self._expired_once:
                return HeartbeatAction.EXPIRED
            self._expired_once = True
        return HeartbeatAction.NONE

    def next_check(self, now: float) -> float:
        """When to check again."""
        if self._pong_by is None:
            return self._ping_at
        # Not later than the next ping can be due, once the pong has come.
        return max(now, min(self._pong_by, now + self._interval))

    def pong(self, now: float) -> bool:
        """The pong came. False: no ping was sent for it, and nothing changes."""
        if self._pong_by is None:
            return False
        self._pong_by = None
        self._ping_at = now + self._interval
        return True

    def overdue(self, now: float) -> bool:
        """Whether a pong should have come by now."""
        return self._pong_by is not None and now >= self._pong_by
