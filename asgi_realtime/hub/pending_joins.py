"""Joins that wait for the host's permission, or for the broker's subscription."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.values.commands import CloseRoom, RemoveFromRoom
from asgi_realtime.values.ids import RoomName


class PendingJoin:
    """One pending join of one connection."""

    __slots__ = ("connection", "left", "rooms", "withdrawn")

    def __init__(self, connection: InternalConnection, room: RoomName, parent: RoomName | None) -> None:
        self.connection = connection
        self.rooms = frozenset((room, parent))
        """The room, and the room above it if one was named."""
        self.withdrawn = False
        """Whether a command has removed the user from the room since. The host's answer may be older."""
        self.left = False
        """Whether the connection has left the room since."""


class PendingJoins:
    """All pending joins of this process: at most one for each running handler."""

    def __init__(self) -> None:
        self._pending_joins: set[PendingJoin] = set()

    def __len__(self) -> int:
        return len(self._pending_joins)

    @contextmanager
    def asking(self, connection: InternalConnection, room: RoomName, parent: RoomName | None) -> Iterator[PendingJoin]:
        """Register a pending join for the duration of this block."""
        entry = PendingJoin(connection, room, parent)
        self._pending_joins.add(entry)
        try:
            yield entry
        finally:
            self._pending_joins.discard(entry)

    def withdraw(self, command: RemoveFromRoom | CloseRoom, rooms: Collection[RoomName]) -> None:
        """Cancel the pending joins of a command. `rooms`: its room and those below, before they are unlinked."""
        for entry in self._pending_joins:
            if (
                entry.connection.gateway == command.gateway
                and not entry.rooms.isdisjoint(rooms)
                and (isinstance(command, CloseRoom) or entry.connection.identity.user_id == command.user_id)
            ):
                entry.withdrawn = True

    def leave(self, connection: InternalConnection, rooms: Collection[RoomName]) -> None:
        """Cancel a connection's pending joins of `rooms`, and of rooms directly below them."""
        for entry in self._pending_joins:
            if entry.connection is connection and not entry.rooms.isdisjoint(rooms):
                entry.left = True
