"""Questions to every process of an application, and their answers."""

from __future__ import annotations

import dataclasses
from typing import Final, Generic, TypeAlias, TypeVar

import msgspec

from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.inspections import ConnectionRow, Details, Inspection, Load, RoomRow
from asgi_realtime.values.publications import Position

T = TypeVar("T")

MOST_CONNECTIONS: Final = 1_000
"""Most connections of a user in the answer of one process. Over: the answer is not complete."""


class RoomSize(msgspec.Struct, frozen=True, tag="room"):
    """How many connections are in a room."""

    gateway: GatewayName
    room: RoomName


class ConnectionsOf(msgspec.Struct, frozen=True, tag="user"):
    """Which connections a user has."""

    gateway: GatewayName
    user_id: UserId


class NodeStatus(msgspec.Struct, frozen=True, tag="node"):
    """How many connections each gateway has."""


class CommandDone(msgspec.Struct, frozen=True, tag="done"):
    """Answer when a command is carried out. A broker asks this itself.

    The question may come before the command: by another connection, or while messages are held until a missing one was
    read. So it has the command's position.
    """

    origin: str
    gateway: GatewayName
    position: Position


Question: TypeAlias = RoomSize | ConnectionsOf | NodeStatus | Inspection
"""What hosts ask, and the console."""


class NodeAnswer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What one process answers."""

    members: int = 0
    connections: tuple[ConnectionId, ...] = ()
    gateways: dict[GatewayName, int] = {}
    cut: bool = False
    """Whether there are more connections than the answer may hold, or the question was not answered at all."""
    load: Load | None = None
    rows: tuple[ConnectionRow, ...] = ()
    rooms: tuple[RoomRow, ...] = ()
    details: Details | None = None
    more: bool = False
    """Whether the page is not the last one in this process."""


class NodeAnswers(msgspec.Struct, frozen=True):
    """What the processes answered, by node id."""

    by_node: dict[str, NodeAnswer]
    complete: bool
    """Whether every process has answered in time, in full."""
    missing: tuple[str, ...] = ()
    """The ids of the processes that are known, and have not answered."""


@dataclasses.dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """The answer of the processes of an application to a question."""

    value: T
    """What the processes that answered have together."""
    complete: bool
    """Whether every process has answered. False: one has just died, is too slow, or is cut off from Redis."""
    missing: tuple[str, ...] = ()
    """The ids of the processes that have not answered, as far as they are known."""


@dataclasses.dataclass(frozen=True, slots=True)
class UserConnection:
    """One connection of a user."""

    id: str
    """The connection's id, for `except_`."""
    node: str
    """The id of the process that it is connected to."""


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """One process of an application."""

    id: str
    """Its id: another one after each start."""
    connections: dict[str, int]
    """How many connections it has, by the name of the gateway."""
