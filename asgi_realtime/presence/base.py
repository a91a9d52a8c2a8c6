"""The contract of presence: which users are online, across all processes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol, TypeAlias

from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId

Announce: TypeAlias = Callable[[GatewayName, UserId], "asyncio.Future[Any] | None"]
"""Announces a user. The future ends when that is done. None: it is done."""
ANNOUNCED_WITHIN: Final = 5.0
"""Seconds for which a user who returns is not announced as online, while the user is still announced as offline."""
JOIN_WAITS: Final = 0.25
"""Seconds for which `join` waits for that announcement. Over: the client is accepted, and `online` is called later."""


class Presence(Protocol):
    """Counts the connections of users. Each change between none and some is announced exactly once.

    If a user reconnects within the grace period, neither change is announced.

    If the other processes cannot be reached, `online` and `is_online` raise `BrokerUnavailable`. `join` raises it too,
    or adds the connection, returns False, and `online` of `start` is called later. `leave` never raises. Callers wait
    for each call for `MEW_PUBLISH_TIMEOUT` at most and then cancel it.
    """

    async def start(
        self,
        offline: Announce,
        online: Callable[[GatewayName, UserId], None] | None = None,
    ) -> None:
        """Begin.

        Args:
            offline: called on the event loop, by one process, when a user's grace period has ended. Until it has
                announced that, `join` does not return that the user came online, for `ANNOUNCED_WITHIN` at most.
            online: called on the event loop, by one process, when a user came online and no `join` returned that: the
                answer came too late, or other processes had announced these users as offline.
        """

    async def stop(self) -> None:
        """Stop presence in this process. It announces no user as offline.

        If users had connections here and none elsewhere, another process announces them after the grace period.
        """

    async def join(
        self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId, *, limit: int | None = None
    ) -> bool:
        """Add a connection. Returns True if the user came online, which the caller must announce.

        A connection that was added before is ignored. `limit` is the most connections that the user may have to this
        gateway, at all processes together; None: any number.

        Raises:
            RateLimited: the user has as many as the limit allows. The connection is not added.
            BrokerUnavailable: it is not known whether the connection was added. The caller calls `leave`.
        """

    async def leave(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> None:
        """Remove a connection. One that was not added is ignored.

        Never raises. If the other processes cannot be reached, or the call is cancelled, the implementation removes
        the connection later.
        """

    async def online(self, gateway: GatewayName) -> set[UserId]:
        """The users who are online, including those within their grace period. Returns a new set.

        Raises:
            BrokerUnavailable: they are not known.
        """

    def users_here(self, gateway: GatewayName) -> int:
        """How many users have connections to this process."""

    async def is_online(self, gateway: GatewayName, user_id: UserId) -> bool:
        """Whether a user is online, or within the grace period.

        Raises:
            BrokerUnavailable: it is not known.
        """
