"""What can be watched on a `SocketIOServer`, and by whom: the Admin UI."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from asgi_realtime.connection.connection import Connection
from asgi_realtime.values.json import Json


class Observer:
    """Hears what happens in a server's namespaces. Every method is called on the event loop and must not block.

    Override what is of interest.
    """

    @property
    def watching(self) -> bool:
        """Whether anything need be reported at the moment."""
        return True

    def connected(self, connection: Connection) -> None:
        """A client was let into a namespace."""

    def disconnected(self, connection: Connection, reason: str) -> None:
        """A client is gone from a namespace."""

    def received(self, connection: Connection, event: str, args: Sequence[Json]) -> None:
        """A client sent an event; its handler runs next."""

    def sent(self, recipients: Collection[Connection], event: str, args: Sequence[Any]) -> None:
        """An event goes to clients of one namespace."""

    def joined(self, connection: Connection, room: str) -> None:
        """A client entered a room."""

    def left(self, connection: Connection, room: str) -> None:
        """A client left a room."""
