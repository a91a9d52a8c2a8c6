"""The presence of one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId


class Timer(Protocol):
    """A call that has not happened yet."""

    def cancel(self) -> None:
        """Make sure it will not."""


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Seconds and a function to call after them, as the event loop's `call_later`."""


class MemoryPresence:
    """A `Presence` for one process.

    Args:
        grace: seconds a user stays online after the last connection ended.
        call_later: the timers. Default: those of the running event loop.
    """

    def __init__(self, *, grace: float = 5.0, call_later: CallLater | None = None) -> None:
        self._grace = grace
        self._call_later = call_later
        self._offline: Callable[[GatewayName, UserId], None] | None = None
        # A user without connections here is within the grace, and has a timer. Nearly every other one has one.
        self._users: dict[GatewayName, dict[UserId, ConnectionId | tuple[ConnectionId, ...]]] = {}
        self._timers: dict[tuple[GatewayName, UserId], Timer] = {}

    async def start(self, offline: Callable[[GatewayName, UserId], None]) -> None:
        """Begin with nobody online."""
        self._timers.clear()
        self._users.clear()
        self._offline = offline

    async def stop(self) -> None:
        """Forget everybody, and announce nobody."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._users.clear()
        self._offline = None

    async def join(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> bool:
        """Count a connection; see `Presence.join`."""
        users = self._users.setdefault(gateway, {})
        comes_online = user_id not in users
        earlier = _as_tuple(users.get(user_id, ()))
        users[user_id] = (*earlier, connection_id) if earlier else connection_id
        timer = self._timers.pop((gateway, user_id), None)
        if timer is not None:
            timer.cancel()
        return comes_online

    async def leave(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> None:
        """Count a connection no more; see `Presence.leave`."""
        connections = _as_tuple(self._users.get(gateway, {}).get(user_id, ()))
        if not connections:
            return  # nobody, or within the grace already: its timer runs on
        left = tuple(each for each in connections if each != connection_id)
        self._users[gateway][user_id] = left[0] if len(left) == 1 else left
        if not left:
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timers[gateway, user_id] = call_later(self._grace, lambda: self._grace_ended(gateway, user_id))

    async def online(self, gateway: GatewayName) -> set[UserId]:
        """The users online."""
        return set(self._users.get(gateway, ()))

    async def is_online(self, gateway: GatewayName, user_id: UserId) -> bool:
        """Whether a user is online."""
        return user_id in self._users.get(gateway, ())

    def _grace_ended(self, gateway: GatewayName, user_id: UserId) -> None:
        del self._timers[gateway, user_id]
        users = self._users[gateway]
        del users[user_id]
        if not users:
            del self._users[gateway]
        if self._offline is not None:
            self._offline(gateway, user_id)


def _as_tuple(connections: ConnectionId | tuple[ConnectionId, ...]) -> tuple[ConnectionId, ...]:
    return connections if isinstance(connections, tuple) else (connections,)
