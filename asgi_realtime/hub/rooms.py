"""The rooms, users and connections of one gateway in this process. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Set
from types import MappingProxyType
from typing import Protocol

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.kept_recipients import KeptRecipients
from asgi_realtime.hub.recipients import FEW, NO_RECIPIENTS, Recipients, SortedRecipients
from asgi_realtime.values.ids import ConnectionId, RoomName, UserId
from asgi_realtime.values.publications import Target, ToAll, ToRoom, ToRooms, ToUsers


class MembershipListener(Protocol):
    """Is called for the first and the last member of each room, each personal room, and the gateway (`ToAll`)."""

    def occupied(self, target: Target) -> None:
        """The first member was added."""

    def emptied(self, target: Target) -> None:
        """The last member has left."""


class Room:
    """Connections in the order in which they joined, and a snapshot of them for the fan-out."""

    __slots__ = ("_recipients", "members")

    def __init__(self) -> None:
        self.members: dict[InternalConnection, None] = {}
        self._recipients: SortedRecipients | None = None

    def add(self, connection: InternalConnection) -> None:
        """Add a connection."""
        self.members[connection] = None
        self._change()

    def discard(self, connection: InternalConnection) -> None:
        """Remove a connection, if it is a member."""
        if self.members.pop(connection, False) is None:
            self._change()

    def _change(self) -> None:
        # A batch may still have the snapshot, which gets no later signals. It is sorted again before it is delivered.
        self.sink_changed()
        self._recipients = None

    def sink_changed(self) -> None:
        """The sink of a member has changed."""
        if self._recipients is not None:
            self._recipients.sink_changed()

    @property
    def recipients(self) -> Recipients:
        """The members as a snapshot, made once after each change."""
        if self._recipients is None:
            self._recipients = SortedRecipients(tuple(self.members))
        return self._recipients


class Rooms:
    """All rooms, users and connections of one gateway in this process.

    A room exists while it has members. A connection's rooms and the rooms' members are always consistent.
    Personal rooms are the index by user, so no room name can address them.

    A room may be below a parent room. A connection that leaves the parent leaves the rooms below it in the same call:
    a client that loses a server loses its channels. A link that would put a room below itself is ignored.
    """

    def __init__(self, listener: MembershipListener | None = None) -> None:
        self._listener = listener
        self._everybody: SortedRecipients | None = None  # as `Room._recipients`
        self._kept = KeptRecipients()
        self._rooms: dict[RoomName, Room] = {}
        # Most users have one connection. A dict for each user would take more memory than the rest of this index.
        self._users: dict[UserId, InternalConnection | dict[InternalConnection, None]] = {}
        self._by_id: dict[ConnectionId, InternalConnection] = {}
        self._parents: dict[RoomName, RoomName] = {}
        self._children: dict[RoomName, set[RoomName]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __contains__(self, connection: InternalConnection) -> bool:
        return self._by_id.get(connection.id) is connection

    def has(self, target: Target) -> bool:
        """Whether a room, a personal room (`ToUsers` of one user) or the gateway (`ToAll`) has members here."""
        if type(target) is ToRoom:
            return target.room in self._rooms
        if type(target) is ToUsers:
            return target.user_ids[0] in self._users
        return bool(self._by_id)

    @property
    def occupied(self) -> int:
        """How many rooms and personal rooms have members here, and the gateway itself if it has any."""
        return len(self._rooms) + len(self._users) + bool(self._by_id)

    @property
    def names(self) -> Collection[RoomName]:
        """The rooms that have members here."""
        return self._rooms.keys()

    @property
    def users(self) -> Collection[UserId]:
        """The users that have connections here."""
        return self._users.keys()

    @property
    def parents(self) -> Mapping[RoomName, RoomName]:
        """The parent of each room that is below one."""
        return MappingProxyType(self._parents)

    @property
    def children(self) -> Mapping[RoomName, Set[RoomName]]:
        """The rooms below each parent room. Not those below them."""
        return MappingProxyType(self._children)

    @property
    def ids(self) -> Collection[ConnectionId]:
        """The ids of the connections."""
        return self._by_id.keys()

    def get(self, connection_id: ConnectionId) -> InternalConnection | None:
        """The connection with this id, if it is here."""
        return self._by_id.get(connection_id)

    def of_user(self, user_id: UserId) -> tuple[InternalConnection, ...]:
        """A user's connections."""
        connections = self._users.get(user_id)
        return () if connections is None else tuple(connections) if isinstance(connections, dict) else (connections,)

    def of_room(self, room: RoomName) -> tuple[InternalConnection, ...]:
        """A room's members."""
        found = self._rooms.get(room)
        return tuple(found.members) if found is not None else ()

    def size(self, room: RoomName) -> int:
        """How many members a room has."""
        found = self._rooms.get(room)
        return 0 if found is None else len(found.members)

    @property
    def everybody(self) -> tuple[InternalConnection, ...]:
        """Every connection."""
        return self._all().connections

    def recipients(self, target: Target) -> Recipients:
        """The connections that a target addresses, each once."""
        if type(target) is ToRoom:
            return _recipients(self._rooms.get(target.room))
        if type(target) is ToAll:
            return self._all()
        if type(target) is ToUsers and len(target.user_ids) == 1:
            found = self.of_user(target.user_ids[0])
            if len(found) <= FEW:
                return Recipients(found)
        kept = self._kept.get(target)
        if kept is not None:
            return kept
        found = tuple(dict.fromkeys(self._members(target)))
        return Recipients(found) if len(found) <= FEW else self._kept.keep(target, found)

    def _members(self, target: Target) -> Iterator[InternalConnection]:
        if type(target) is ToRooms:
            for name in target.rooms:
                room = self._rooms.get(name)
                if room is not None:
                    yield from room.members
        elif type(target) is ToUsers:
            for user_id in target.user_ids:
                yield from self.of_user(user_id)

    def among(self, target: Target, ids: Iterable[ConnectionId]) -> list[InternalConnection]:
        """Those of some connections that a target addresses, each once."""
        found = (self._by_id.get(id) for id in dict.fromkeys(ids))
        return [connection for connection in found if connection is not None and _addresses(target, connection)]

    def _all(self) -> SortedRecipients:
        if self._everybody is None:
            self._everybody = SortedRecipients(tuple(self._by_id.values()))
        return self._everybody

    def _changed(self) -> None:
        if self._everybody is not None:
            self._everybody.sink_changed()  # as in `Room`
            self._everybody = None
        self._kept.drop()

    def sink_changed(self, connection: InternalConnection) -> None:
        """The sink of a connection has changed. Does nothing for one that is not here."""
        if connection in self:
            if self._everybody is not None:
                self._everybody.sink_changed()
            self._kept.sink_changed()
            for room in connection.room_set:
                self._rooms[room].sink_changed()

    def add(self, connection: InternalConnection) -> None:
        """Add a connection. It is then in its user's personal room and in `everybody`."""
        self._by_id[connection.id] = connection
        self._changed()
        user_id = connection.identity.user_id
        connections = self._users.setdefault(user_id, connection)
        if isinstance(connections, dict):
            connections[connection] = None
        elif connections is not connection:
            self._users[user_id] = {connections: None, connection: None}
        elif self._listener is not None:
            self._listener.occupied(ToUsers((user_id,)))
        if self._listener is not None and len(self._by_id) == 1:
            self._listener.occupied(ToAll())

    def remove(self, connection: InternalConnection) -> None:
        """Remove a connection. `connection.rooms` still lists its rooms. Does nothing if it is not here."""
        if connection not in self:
            return
        del self._by_id[connection.id]
        self._changed()
        user_id = connection.identity.user_id
        connections = self._users[user_id]
        if isinstance(connections, dict) and len(connections) > 1:
            del connections[connection]
        else:
            del self._users[user_id]
            if self._listener is not None:
                self._listener.emptied(ToUsers((user_id,)))
        for room in connection.room_set:
            self._remove_member(connection, room)
        if self._listener is not None and not self._by_id:
            self._listener.emptied(ToAll())

    def join(self, connection: InternalConnection, room: RoomName, parent: RoomName | None = None) -> None:
        """Put a connection into a room, below `parent` if one is given. Does nothing if it is not here."""
        if connection not in self:
            return
        members = self._rooms.get(room)
        if members is None:
            members = self._rooms[room] = Room()
            if self._listener is not None:
                self._listener.occupied(ToRoom(room))
        members.add(connection)
        self._kept.drop()
        connection.entered(room)
        if parent is not None and self._parents.get(room) != parent and room not in self._with_ancestors(parent):
            earlier = self._parents.get(room)
            self._parents[room] = parent
            self._children.setdefault(parent, set()).add(room)
            if earlier is not None:
                self._drop_child(earlier, room)

    def leave(self, connection: InternalConnection, room: RoomName) -> None:
        """Take a connection out of a room and of the rooms below it. Does nothing if it is not here."""
        if connection not in self:
            return
        rooms = connection.room_set
        left = [name for name in self.with_descendants(room) if name in rooms]
        connection.left(left)
        for name in left:
            self._remove_member(connection, name)

    def close(self, room: RoomName) -> None:
        """Empty a room and the rooms below it."""
        for name in self.with_descendants(room):
            for connection in self.of_room(name):
                connection.left((name,))
                self._remove_member(connection, name)

    def with_descendants(self, room: RoomName) -> list[RoomName]:
        """A room and all rooms below it, at any depth."""
        found = [room]
        waiting = [room]
        while waiting:
            below = self._children.get(waiting.pop(), ())
            found.extend(below)
            waiting.extend(below)
        return found

    def _with_ancestors(self, room: RoomName | None) -> Iterator[RoomName]:
        while room is not None:
            yield room
            room = self._parents.get(room)

    def _remove_member(self, connection: InternalConnection, room: RoomName) -> None:
        found = self._rooms[room]
        found.discard(connection)
        self._kept.drop()
        if not found.members:
            del self._rooms[room]
            if self._listener is not None:
                self._listener.emptied(ToRoom(room))
            if room not in self._children:
                self._unlink(room)

    def _unlink(self, room: RoomName) -> None:
        parent = self._parents.pop(room, None)
        if parent is not None:
            self._drop_child(parent, room)

    def _drop_child(self, parent: RoomName, room: RoomName) -> None:
        self._children[parent].discard(room)
        if not self._children[parent]:
            del self._children[parent]
            if parent not in self._rooms:  # it has no members, and was kept only for the rooms below it
                self._unlink(parent)


def _recipients(room: Room | None) -> Recipients:
    return NO_RECIPIENTS if room is None else room.recipients


def _addresses(target: Target, connection: InternalConnection) -> bool:
    """Whether a connection that is here is among the recipients of a target."""
    if type(target) is ToRoom:
        return target.room in connection.room_set
    if type(target) is ToRooms:
        return not connection.rooms.isdisjoint(target.rooms)
    return type(target) is not ToUsers or connection.identity.user_id in target.user_ids
