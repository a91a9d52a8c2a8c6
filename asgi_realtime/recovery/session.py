"""What is kept of a connection that was lost."""

from __future__ import annotations

import dataclasses
import hashlib
import sys
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple, Self, TypeAlias

from asgi_realtime.broker.position_order import is_up_to, newest_of, number, same_history
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectConnection,
    DisconnectMembers,
    RefreshRooms,
    RemoveFromRoom,
    TakeOver,
)
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, ToAll, ToRoom, ToRooms, ToUsers

RoomPositions: TypeAlias = dict[RoomName, Position]
"""Rooms, each with the position from which on its events are for the client."""

_OVERHEAD = 1_000
"""Bytes of a session without its rooms."""


class SessionClaim(NamedTuple):
    """What a client presents to get its session back. It may be anything."""

    pid: Json
    """The secret id of the session. See `Recovery.pid`."""
    offset: Json
    """The position of the last event that the client has received."""


class SessionId(NamedTuple):
    """Names a session where it is kept. The client's secret is not stored, and no lookup compares it."""

    gateway: GatewayName
    digest: str

    @classmethod
    def of(cls, gateway: GatewayName, pid: str) -> Self:
        """The session that a client claims with `pid`."""
        return cls(gateway, hashlib.sha256(pid.encode()).hexdigest()[:32])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RecoverySession:
    """A connection that was lost or may be lost, for the client that returns."""

    id: SessionId
    connection_id: ConnectionId
    identity: Identity
    rooms: RoomPositions
    parents: Mapping[RoomName, RoomName]
    """The parent of each room, and of each room above it."""
    granted: frozenset[RoomName]
    """The rooms that the host's service has granted. It is asked again."""
    since: Position
    """Everything up to here is with the client, or is not for it."""
    replayed: Position | None
    """See `ConnectionPositions.replayed`."""
    unsure: Position | None
    """A client whose position is not newer may not have got all that was sent to it alone. None: it has."""
    commands: int
    """How many commands this process had carried out."""

    @property
    def size(self) -> int:
        """About how many bytes it takes."""
        texts = [*self.rooms, *self.parents, *self.parents.values()]
        return _OVERHEAD + sum(map(sys.getsizeof, texts)) + 100 * len(texts)

    def start(self, offset: Position | None) -> Position | None:
        """The position after which events are missed. None: that is not known.

        `offset` is the client's position, if it has one of this history.
        """
        if self._may_lack(offset):
            return None
        if self.replayed is not None and (offset is None or number(offset) < number(self.replayed)):
            # It has not got the answer to its last CONNECT. But it may have got some of the events before it.
            return None
        return newest_of(offset, self.since)

    def exact_start(self, offset: Position | None) -> Position | None:
        """As `start`, for a client that has known a position of this session from its beginning."""
        if offset is None or not same_history(offset, self.since) or self._may_lack(offset):
            return None
        return offset if number(offset) >= number(self.since) else None

    def after_receiving(self, position: Position) -> RecoverySession:
        """The session of a client that has received everything up to a position."""
        if not is_up_to(self.since, position):
            return self
        unsure = self.unsure if self._may_lack(position) else None
        return dataclasses.replace(self, since=position, replayed=None, unsure=unsure)

    def _may_lack(self, position: Position | None) -> bool:
        """Whether a client with this position may not have got all that was sent to it alone."""
        return self.unsure is not None and (position is None or number(position) <= number(self.unsure))

    def after(self, commands: Sequence[tuple[Command, Position | None]]) -> RecoverySession | None:
        """The session after commands that came later. None: it is not known which rooms the client would be in."""
        rooms, parents = dict(self.rooms), dict(self.parents)
        for command, position in commands:
            if isinstance(command, AddToRoom) and position is not None:
                rooms.setdefault(command.room, position)
                if command.parent is not None:
                    parents[command.room] = command.parent
            elif isinstance(command, RemoveFromRoom | CloseRoom):
                for room in [each for each in rooms if command.room in _with_ancestors(each, parents)]:
                    del rooms[room]
            elif not self._survives(command, rooms):
                return None
        return dataclasses.replace(self, rooms=rooms, parents=parents)

    def _survives(self, command: Command, rooms: Collection[RoomName]) -> bool:
        """Whether the client, which is in these rooms, would still be connected after a command, in the same rooms."""
        match command:
            case TakeOver():
                return command.connection_id == self.connection_id  # it has ended the older connections of its user
            case RefreshRooms():
                return not _concerns(command, rooms)
            case DisconnectMembers():
                return command.room not in rooms
            case DisconnectConnection():
                return command.connection_id != self.connection_id
            case _:
                return False


def _concerns(command: RefreshRooms, rooms: Collection[RoomName]) -> bool:
    """Whether a refresh would have asked the host for this client's rooms. One for users is for this user."""
    target = command.target
    if isinstance(target, ToRoom):
        return target.room in rooms
    if isinstance(target, ToRooms):
        return any(room in rooms for room in target.rooms)
    return isinstance(target, ToAll | ToUsers)


def _with_ancestors(room: RoomName, parents: Mapping[RoomName, RoomName]) -> set[RoomName]:
    found = {room}
    above = parents.get(room)
    while above is not None and above not in found:
        found.add(above)
        above = parents.get(above)
    return found
