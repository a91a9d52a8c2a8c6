"""The rooms of one connection, in little memory.

A `set` takes 216 bytes when it is empty. Most connections are in few rooms, and there are many connections. So up to
eight rooms are kept in a tuple: it takes 8 bytes for each room, and is searched as fast as a set of that size. An empty
one is shared by all connections. With more rooms than that, the cost of a set is shared by many names, and a search
through a tuple would be slow.

A value is a tuple or a set, and not an object around one, because that object would cost more than the tuple. Callers
use the functions here and `in`, and do not depend on which of the two they hold.
"""

from __future__ import annotations

from collections.abc import Collection
from collections.abc import Set as AbstractSet
from typing import Final, TypeAlias

from asgi_realtime.values.ids import RoomName

RoomSet: TypeAlias = tuple[RoomName, ...] | set[RoomName]

NO_ROOMS: Final[RoomSet] = ()
_TUPLE_ROOMS: Final = 8
"""The most rooms that are kept in a tuple."""


def with_room(rooms: RoomSet, room: RoomName) -> RoomSet:
    """The rooms and one more. A set that was passed in is changed."""
    if room in rooms:
        return rooms
    if isinstance(rooms, set):
        rooms.add(room)
        return rooms
    return (*rooms, room) if len(rooms) < _TUPLE_ROOMS else {*rooms, room}


def without_rooms(rooms: RoomSet, left: Collection[RoomName]) -> RoomSet:
    """The rooms without some. A set that was passed in is changed."""
    if isinstance(rooms, set):
        rooms.difference_update(left)
        return rooms
    return tuple(room for room in rooms if room not in left)


def as_set(rooms: RoomSet) -> AbstractSet[RoomName]:
    """The rooms as a set. It may be a copy, or change with the rooms."""
    return frozenset(rooms) if isinstance(rooms, tuple) else rooms
