"""Connections about to enter a room, while the host is asked whether they may, or the broker to deliver its events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.values.commands import CloseRoom, RemoveFromRoom
from asgi_realtime.values.ids import RoomName


class PendingJoin:
    """One connection on its way into one room."""

    __slots__ = ("connection", "left", "rooms", "withdrawn")

    def __init__(self, connection: InternalConnection, room: RoomName, parent: RoomName | None) -> None:
        self.connection = connection
        self.rooms = (room, parent)
        self.withdrawn = False
        """Whether a command has taken it out of the room meanwhile: the host's answer may be older than that."""
        self.left = False
        """Whether it has left the room meanwhile."""


class PendingJoins:
    """All that are under way in this process: at most one for each event that a handler is at work on."""

    def __init__(self) -> None:
        self._pending_joins: set[PendingJoin] = set()

    def __len__(self) -> int:
        return len(self._pending_joins)

    @contextmanager
    def asking(self, connection: InternalConnection, room: RoomName, parent: RoomName | None) -> Iterator[PendingJoin]:
        """Ask the host, and the broker, in this block."""
        entry = PendingJoin(connection, room, parent)
        self._pending_joins.add(entry)
        try:
            yield entry
        finally:
            self._pending_joins.discard(entry)

    def withdraw(self, command: RemoveFromRoom | CloseRoom) -> None:
        """Have those who would enter the room not get in."""
        for entry in self._pending_joins:
            if (
                entry.connection.gateway == command.gateway
                and command.room in entry.rooms
                and (isinstance(command, CloseRoom) or entry.connection.identity.user_id == command.user_id)
            ):
                entry.withdrawn = True

    def leave(self, connection: InternalConnection, room: RoomName) -> None:
        """Have a connection not enter a room that it leaves, nor a room below it."""
        for entry in self._pending_joins:
            if entry.connection is connection and room in entry.rooms:
                entry.left = True
