"""When to send a heartbeat to a client, and when its answer is too late. No I/O: callers pass the time."""

from __future__ import annotations

import enum


class HeartbeatAction(enum.Enum):
    """What to do after a check of the heartbeat."""

    NONE = "none"
    PING = "ping"
    """Send a ping."""
    EXPIRED = "expired"
    """End the session: the pong did not come in time."""


class Heartbeat:
    """A ping is sent `interval` seconds after the last pong. Its pong must come within `timeout` seconds."""

    __slots__ = ("_interval", "_expired_once", "_ping_at", "_pong_by", "_timeout", "answered_at")

    def __init__(self, interval: float, timeout: float, now: float) -> None:
        self._interval = interval
        self._timeout = timeout
        self._ping_at = now + interval
        self._pong_by: float | None = None
        self._expired_once = False
        self.answered_at: float | None = None
        """When the last ping was sent that was answered. None: none yet."""

    def check(self, now: float, *, reading: bool) -> HeartbeatAction:
        """Return what to do at the time `now`.

        While reading from the client is paused (`reading` False), its pong may be unread, so the deadline is extended.
        A session expires only at the second check after its deadline: after a stall of the event loop, the pong may
        still be in the socket's buffer.
        """
        if self._pong_by is None:
            if now < self._ping_at:
                return HeartbeatAction.NONE
            # Counted from when the ping was due. If this check is very late, the client still gets most of the timeout.
            self._pong_by = max(self._ping_at, now - self._timeout / 4) + self._timeout
            self._ping_at = now
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
        """The time of the next check."""
        if self._pong_by is None:
            return self._ping_at
        # If the pong comes, the next ping may be due after one interval, so the next check is not later than that.
        return max(now, min(self._pong_by, now + self._interval))

    def pong(self, now: float) -> bool:
        """A pong came. Returns False, and changes nothing, if no ping was sent."""
        if self._pong_by is None:
            return False
        self._pong_by = None
        self.answered_at = self._ping_at
        self._ping_at = now + self._interval
        return True

    def overdue(self, now: float) -> bool:
        """Whether a pong is overdue."""
        return self._pong_by is not None and now >= self._pong_by
