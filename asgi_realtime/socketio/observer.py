"""The interface of what watches a `SocketIOServer`, such as the Admin UI."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from asgi_realtime.connection.connection import Connection
from asgi_realtime.values.json import Json


class Observer:
    """Is called for events in a server's namespaces. Override the methods you need.

    Every method is called on the event loop and must not block.
    """

    @property
    def active(self) -> bool:
        """Whether the observer is to be called now."""
        return True

    def connected(self, connection: Connection) -> None:
        """A client was let into a namespace."""

    def disconnected(self, connection: Connection, reason: str) -> None:
        """A client has left a namespace, or was disconnected from it."""

    def received(self, connection: Connection, event: str, args: Sequence[Json]) -> None:
        """A client sent an event. Its handler runs next."""

    def sent(self, recipients: Collection[Connection], event: str, args: Sequence[Any]) -> None:
        """An event is sent to clients of one namespace."""

    def joined(self, connection: Connection, room: str) -> None:
        """A client entered a room."""

    def left(self, connection: Connection, room: str) -> None:
        """A client left a room."""
