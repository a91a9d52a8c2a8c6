"""The contract of presence: which users are online, across all processes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId


class Presence(Protocol):
    """Counts the connections of users. Each change between none and some is announced exactly once.

    If a user reconnects within the grace period, neither change is announced.
    """

    async def start(self, offline: Callable[[GatewayName, UserId], None]) -> None:
        """Begin. `offline` is called on the event loop, by one process, when a user's grace period has ended."""

    async def stop(self) -> None:
        """Stop presence in this process. No user is announced as offline because of it."""

    async def join(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> bool:
        """Add a connection. Returns True if the user came online, which the caller must announce.

        A connection that was added before is ignored.
        """

    async def leave(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> None:
        """Remove a connection. One that was not added is ignored."""

    async def online(self, gateway: GatewayName) -> set[UserId]:
        """The users who are online, including those within their grace period. Returns a new set."""

    async def is_online(self, gateway: GatewayName, user_id: UserId) -> bool:
        """Whether a user is online, or within the grace period."""
