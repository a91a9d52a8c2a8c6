"""Presence of an application with one process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from asgi_realtime.errors import RateLimited
from asgi_realtime.presence.base import ANNOUNCED_WITHIN, JOIN_WAITS, Announce
from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId


class Timer(Protocol):
    """A scheduled call."""

    def cancel(self) -> None:
        """Cancel the call."""


CallLater = Callable[[float, Callable[[], None]], Timer]
"""Calls a function after some seconds, like the event loop's `call_later`."""


class MemoryPresence:
    """A `Presence` for one process.

    Args:
        grace: seconds a user stays online after the last connection ended.
        call_later: the timers. Default: those of the running event loop.
    """

    def __init__(self, *, grace: float = 5.0, call_later: CallLater | None = None) -> None:
        self._grace = grace
        self._call_later = call_later
        self._offline: Announce | None = None
        self._online: Callable[[GatewayName, UserId], None] | None = None
        # A user with no connections is within the grace period, and has a timer. Most users have one connection.
        self._users: dict[GatewayName, dict[UserId, ConnectionId | tuple[ConnectionId, ...]]] = {}
        self._timers: dict[tuple[GatewayName, UserId], Timer] = {}
        self._announcing: dict[tuple[GatewayName, UserId], asyncio.Future[Any]] = {}
        """The users who are being announced as offline."""

    async def start(
        self,
        offline: Announce,
        online: Callable[[GatewayName, UserId], None] | None = None,
    ) -> None:
        """Begin with no user online."""
        self._timers.clear()
        self._users.clear()
        self._announcing.clear()
        self._offline, self._online = offline, online

    async def stop(self) -> None:
        """Remove all users, and announce nothing."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._users.clear()
        self._announcing.clear()
        self._offline = self._online = None

    async def join(
        self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId, *, limit: int | None = None
    ) -> bool:
        """Add a connection; see `Presence.join`."""
        users = self._users.setdefault(gateway, {})
        comes_online = user_id not in users
        earlier = _as_tuple(users.get(user_id, ()))
        if limit is not None and len(earlier) >= limit and connection_id not in earlier:
            raise too_many_connections()
        users[user_id] = (*earlier, connection_id) if earlier else connection_id
        timer = self._timers.pop((gateway, user_id), None)
        if timer is not None:
            timer.cancel()
        announcing = self._announcing.get((gateway, user_id))
        if comes_online and announcing is not None:
            return await self._comes_online_after(announcing, gateway, user_id)
        return comes_online

    async def _comes_online_after(self, announcing: asyncio.Future[Any], gateway: GatewayName, user_id: UserId) -> bool:
        """Wait until the user was announced as offline. If that takes long, the client is not kept waiting for it."""
        await asyncio.wait([announcing], timeout=JOIN_WAITS)
        if announcing.done():
            return True
        loop = asyncio.get_running_loop()
        late = loop.call_later(ANNOUNCED_WITHIN - JOIN_WAITS, self._came_online, gateway, user_id)

        def announced(announcing: asyncio.Future[Any]) -> None:
            if not late.cancelled() and loop.time() < late.when():
                late.cancel()
                self._came_online(gateway, user_id)

        announcing.add_done_callback(announced)
        return False

    def _came_online(self, gateway: GatewayName, user_id: UserId) -> None:
        if self._online is not None and _as_tuple(self._users.get(gateway, {}).get(user_id, ())):
            self._online(gateway, user_id)

    async def leave(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> None:
        """Remove a connection; see `Presence.leave`."""
        connections = _as_tuple(self._users.get(gateway, {}).get(user_id, ()))
        if not connections:
            return  # not online, or already within the grace period, whose timer continues
        left = tuple(each for each in connections if each != connection_id)
        self._users[gateway][user_id] = left[0] if len(left) == 1 else left
        if not left:
            call_later = self._call_later or asyncio.get_running_loop().call_later
            self._timers[gateway, user_id] = call_later(self._grace, lambda: self._grace_ended(gateway, user_id))

    async def online(self, gateway: GatewayName) -> set[UserId]:
        """The users who are online."""
        return set(self._users.get(gateway, ()))

    def users_here(self, gateway: GatewayName) -> int:
        """How many users have connections; see `Presence.users_here`."""
        in_grace = [user_id for timed, user_id in self._timers if timed == gateway]
        return len(self._users.get(gateway, ())) - len(in_grace)

    async def is_online(self, gateway: GatewayName, user_id: UserId) -> bool:
        """Whether a user is online."""
        return user_id in self._users.get(gateway, ())

    def _grace_ended(self, gateway: GatewayName, user_id: UserId) -> None:
        del self._timers[gateway, user_id]
        users = self._users[gateway]
        del users[user_id]
        if not users:
            del self._users[gateway]
        announcing = self._offline(gateway, user_id) if self._offline is not None else None
        if announcing is not None:
            self._announcing[gateway, user_id] = announcing
            announcing.add_done_callback(lambda _: self._announced(announcing, gateway, user_id))

    def _announced(self, announcing: asyncio.Future[Any], gateway: GatewayName, user_id: UserId) -> None:
        if self._announcing.get((gateway, user_id)) is announcing:
            del self._announcing[gateway, user_id]


def too_many_connections() -> RateLimited:
    """The error of `Presence.join`."""
    return RateLimited("too many connections", log_reason="too many connections of one user")


def _as_tuple(connections: ConnectionId | tuple[ConnectionId, ...]) -> tuple[ConnectionId, ...]:
    return connections if isinstance(connections, tuple) else (connections,)
