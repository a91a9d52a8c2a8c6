"""Who is online, over every process: the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from asgi_realtime.values.ids import ConnectionId, GatewayName, UserId


class Presence(Protocol):
    """Counts the connections of users; each change between none and some is announced exactly once.

    A user who is back within the grace never left: neither change is announced.
    """

    async def start(self, offline: Callable[[GatewayName, UserId], None]) -> None:
        """Begin. `offline` is called on the event loop, by one process, when a user's grace has ended."""

    async def stop(self) -> None:
        """End this process's part. Nobody is announced offline for it."""

    async def join(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> bool:
        """Count a connection. True: the user has come online, and the caller announces it.

        Counting the same connection again changes nothing.
        """

    async def leave(self, gateway: GatewayName, user_id: UserId, connection_id: ConnectionId) -> None:
        """Count a connection no more. A connection that is not counted changes nothing."""

    async def online(self, gateway: GatewayName) -> set[UserId]:
        """The users online, those within their grace included. The set is the caller's own."""

    async def is_online(self, gateway: GatewayName, user_id: UserId) -> bool:
        """Whether a user is online (or within the grace)."""
