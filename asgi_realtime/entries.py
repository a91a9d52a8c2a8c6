"""Connections about to enter a room, while the host is asked whether they may."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from asgi_realtime.connection import Connection
from asgi_realtime.messages import CloseRoom, RemoveFromRoom, RoomName


class Entry:
    """One connection on its way into one room."""

    __slots__ = ("connection", "rooms", "withdrawn")

    def __init__(self, connection: Connection, room: RoomName, parent: RoomName | None) -> None:
        self.connection = connection
        self.rooms = (room, parent)
        self.withdrawn = False
        """Whether it was taken out meanwhile: the host's answer may be older than that."""


class Entries:
    """All that are under way in this process: at most one for each event that a handler is at work on."""

    def __init__(self) -> None:
        self._entries: set[Entry] = set()

    @contextmanager
    def asking(self, connection: Connection, room: RoomName, parent: RoomName | None) -> Iterator[Entry]:
        """Ask the host in this block."""
        entry = Entry(connection, room, parent)
        self._entries.add(entry)
        try:
            yield entry
        finally:
            self._entries.discard(entry)

    def withdraw(self, command: RemoveFromRoom | CloseRoom) -> None:
        """Have those who would enter the room not get in."""
        for entry in self._entries:
            if (
                entry.connection.gateway == command.gateway
                and command.room in entry.rooms
                and (isinstance(command, CloseRoom) or entry.connection.identity.user_id == command.user_id)
            ):
                entry.withdrawn = True
