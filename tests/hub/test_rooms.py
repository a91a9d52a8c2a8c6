"""Membership compared with a simple model: rooms, nested rooms, users, all connections."""

from __future__ import annotations

from collections.abc import Collection

import hypothesis.strategies as st
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.values.ids import RoomName, UserId
from asgi_realtime.values.publications import ToAll, ToRoom, ToUsers
from tests.support.recording import World

ROOMS = [RoomName(name) for name in ("server", "category", "channel", "other", "ann")]
USERS = [UserId(name) for name in ("ann", "bob")]
rooms = st.sampled_from(ROOMS)


def _room(name: str) -> RoomName:
    return RoomName(name)


class RoomsMachine(RuleBasedStateMachine):
    """`Rooms` beside a model of plain dictionaries that searches all entries."""

    connections = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.rooms = Rooms()
        self.here: dict[InternalConnection, set[RoomName]] = {}
        self.parents: dict[RoomName, RoomName] = {}

    def below(self, room: RoomName) -> set[RoomName]:
        found = {room}
        while more := {child for child, parent in self.parents.items() if parent in found} - found:
            found |= more
        return found

    def prune(self) -> None:
        """A room without members and nested rooms is dropped, with its parent link."""
        while unused := {
            room
            for room in self.parents
            if not any(room in joined for joined in self.here.values()) and room not in self.parents.values()
        }:
            for room in unused:
                del self.parents[room]

    @rule(target=connections, user=st.sampled_from(USERS))
    def add(self, user: UserId) -> InternalConnection:
        connection, _ = self.world.connection(user)
        self.rooms.add(connection)
        self.here[connection] = set()
        return connection

    @rule(connection=connections, room=rooms, parent=st.none() | rooms)
    def join(self, connection: InternalConnection, room: RoomName, parent: RoomName | None) -> None:
        self.rooms.join(connection, room, parent)
        if connection in self.here:
            self.here[connection].add(room)
            if parent is not None and parent not in self.below(room):
                self.parents[room] = parent
            self.prune()

    @rule(connection=connections, room=rooms)
    def leave(self, connection: InternalConnection, room: RoomName) -> None:
        self.rooms.leave(connection, room)
        if connection in self.here:
            self.here[connection] -= self.below(room)
            self.prune()

    @rule(room=rooms)
    def close(self, room: RoomName) -> None:
        self.rooms.close(room)
        below = self.below(room)
        for joined in self.here.values():
            joined -= below
        self.prune()

    @rule(connection=connections)
    def remove(self, connection: InternalConnection) -> None:
        before = set(connection.rooms)
        self.rooms.remove(connection)
        assert connection.rooms == before, "a removed connection still has rooms"
        self.here.pop(connection, None)
        self.prune()

    @rule(connection=consumes(connections))
    def remove_and_forget(self, connection: InternalConnection) -> None:
        self.remove(connection)

    @invariant()
    def agrees(self) -> None:
        assert len(self.rooms) == len(self.here)
        assert set(self.rooms.names) == set().union(*self.here.values())
        assert list(self.rooms.everybody) == list(self.here)
        assert self.rooms.recipients(ToAll()).connections == self.rooms.everybody
        for connection, joined in self.here.items():
            assert connection in self.rooms
            assert connection.rooms == joined
            assert self.rooms.get(connection.id) is connection
        for room in ROOMS:
            members = [connection for connection, joined in self.here.items() if room in joined]
            assert self.unordered(self.rooms.of_room(room)) == self.unordered(members)
            assert self.rooms.recipients(ToRoom(room)).connections == self.rooms.of_room(room)
        for user in USERS:
            mine = [connection for connection in self.here if connection.identity.user_id == user]
            assert list(self.rooms.recipients(ToUsers((user,))).connections) == mine
        both = self.rooms.recipients(ToUsers((*USERS, *USERS))).connections
        assert self.unordered(both) == self.unordered(self.here)
        children: dict[RoomName, set[RoomName]] = {}
        for child, parent in self.parents.items():
            children.setdefault(parent, set()).add(child)
        assert self.rooms.parents == self.parents
        assert self.rooms.children == children
        assert set(self.rooms.users) == {connection.identity.user_id for connection in self.here}

    @staticmethod
    def unordered(connections: Collection[InternalConnection]) -> list[str]:
        return sorted(connection.id for connection in connections)


RoomsMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=30)
TestRooms = RoomsMachine.TestCase


def test_leaving_a_server_leaves_its_channels_at_every_depth() -> None:
    world, rooms = World(), Rooms()
    connection, _ = world.connection()
    rooms.add(connection)
    rooms.join(connection, _room("server"))
    rooms.join(connection, _room("channel"), _room("category"))
    rooms.join(connection, _room("category"), _room("server"))
    rooms.leave(connection, _room("category"))
    assert connection.rooms == {"server"}
    rooms.join(connection, _room("category"), _room("server"))
    rooms.join(connection, _room("channel"), _room("category"))
    rooms.leave(connection, _room("server"))
    assert connection.rooms == set()


def test_a_room_may_be_its_own_parent() -> None:
    # As if the first channel of a server has the id of the server.
    world, rooms = World(), Rooms()
    connection, _ = world.connection()
    rooms.add(connection)
    rooms.join(connection, _room("1"), _room("1"))
    rooms.join(connection, _room("2"), _room("1"))
    rooms.leave(connection, _room("1"))
    assert not connection.rooms
    assert not rooms.parents
    assert not rooms.children


def test_a_user_id_is_not_a_member_of_the_room_with_the_same_name() -> None:
    world, rooms = World(), Rooms()
    ann, _ = world.connection("ann")
    bob, _ = world.connection("bob")
    rooms.add(ann)
    rooms.add(bob)
    rooms.join(bob, _room("ann"))
    assert rooms.recipients(ToUsers((UserId("ann"),))).connections == (ann,)
    assert rooms.recipients(ToRoom(_room("ann"))).connections == (bob,)


def test_operations_on_a_removed_connection_change_nothing() -> None:
    world, rooms = World(), Rooms()
    connection, _ = world.connection()
    rooms.add(connection)
    rooms.join(connection, _room("a"))
    rooms.remove(connection)
    rooms.remove(connection)
    rooms.join(connection, _room("b"))
    rooms.leave(connection, _room("a"))
    assert connection.rooms == {"a"}
    assert not rooms.names
    assert not rooms.everybody
