"""Joins that wait for the host's permission, or for the broker's subscription."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.values.commands import CloseRoom, RemoveFromRoom
from asgi_realtime.values.ids import GatewayName, RoomName

WithDescendants: TypeAlias = Callable[[RoomName], Collection[RoomName]]
"""A room and the rooms below it, as `Rooms.with_descendants`."""


class PendingJoin:
    """One pending join of one connection."""

    __slots__ = ("connection", "left", "parent", "room", "withdrawn")

    def __init__(self, connection: InternalConnection, room: RoomName, parent: RoomName | None) -> None:
        self.connection = connection
        self.room = room
        self.parent = parent
        """The room above it, if one was named."""
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
    def registered(
        self, connection: InternalConnection, room: RoomName, parent: RoomName | None
    ) -> Iterator[PendingJoin]:
        """Register a pending join for the duration of this block."""
        entry = PendingJoin(connection, room, parent)
        self._pending_joins.add(entry)
        try:
            yield entry
        finally:
            self._pending_joins.discard(entry)

    def withdraw(self, command: RemoveFromRoom | CloseRoom, with_descendants: WithDescendants) -> None:
        """Cancel the pending joins of a command's room and of the rooms below it, before they are unlinked."""
        for entry in self._below(command.gateway, command.room, with_descendants):
            if isinstance(command, CloseRoom) or entry.connection.identity.user_id == command.user_id:
                entry.withdrawn = True

    def leave(self, connection: InternalConnection, room: RoomName, with_descendants: WithDescendants) -> None:
        """Cancel a connection's pending joins of a room and of the rooms below it."""
        for entry in self._below(connection.gateway, room, with_descendants):
            if entry.connection is connection:
                entry.left = True

    def _below(self, gateway: GatewayName, room: RoomName, with_descendants: WithDescendants) -> list[PendingJoin]:
        """The pending joins of a room and of the rooms below it. A pending join links rooms too."""
        entries = [entry for entry in self._pending_joins if entry.connection.gateway == gateway]
        rooms = set(with_descendants(room))
        found: list[PendingJoin] = []
        while below := [entry for entry in entries if entry.room in rooms or entry.parent in rooms]:
            found += below
            entries = [entry for entry in entries if entry.room not in rooms and entry.parent not in rooms]
            rooms.update(*[with_descendants(entry.room) for entry in below])
        return found
