"""Publications: events that are sent to recipients, and the receipts for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType, TypeAlias

import msgspec

from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId

Position = NewType("Position", str)
"""An opaque place in a broker's history."""


class ToRoom(msgspec.Struct, frozen=True, gc=False, tag="room"):
    """Every connection in a room of the gateway."""

    room: RoomName


class ToRooms(msgspec.Struct, frozen=True, gc=False, tag="rooms"):
    """Every connection in any of some rooms, once."""

    rooms: tuple[RoomName, ...]


class ToUsers(msgspec.Struct, frozen=True, gc=False, tag="users"):
    """Every connection of some users: their personal rooms. No client can name a personal room."""

    user_ids: tuple[UserId, ...]


class ToAll(msgspec.Struct, frozen=True, gc=False, tag="all"):
    """Every connection of the gateway."""


Target: TypeAlias = ToRoom | ToRooms | ToUsers | ToAll


class Subscription(msgspec.Struct, frozen=True, gc=False):
    """What a process subscribes to at the broker: a room, one user's personal room, or all of a gateway.

    `target` names one room, one user, or all. The keys of the three kinds never collide.
    """

    gateway: GatewayName
    target: Target


class ReplyTo(msgspec.Struct, frozen=True, gc=False):
    """Where the acknowledgements of a publication go: to one call in one process."""

    node: str
    number: int


class Publication(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One event for its recipients. The publisher has encoded the payload once.

    `payload` is JSON (empty: the event has no payload). If the payload contained `bytes`, they are in `attachments`,
    and the JSON has Socket.IO placeholders in their places. Connections in `except_` do not receive the event. A
    volatile publication is not kept in history, and may be dropped for a client that reads slowly. One with `reply_to`
    asks each recipient for an acknowledgement. It is volatile too, but not dropped for a client that reads slowly.
    """

    gateway: GatewayName
    target: Target
    event: str
    payload: bytes = b""
    attachments: tuple[bytes, ...] = ()
    except_: tuple[ConnectionId, ...] = ()
    volatile: bool = False
    position: Position | None = None
    reply_to: ReplyTo | None = None

    def subscriptions(self) -> list[Subscription]:
        """A process that has any of these subscriptions receives the publication once."""
        target = self.target
        if type(target) is ToUsers and len(target.user_ids) != 1:
            users = dict.fromkeys(target.user_ids)
            return [Subscription(self.gateway, ToUsers((user_id,))) for user_id in users]
        if type(target) is ToRooms:
            return [Subscription(self.gateway, ToRoom(room)) for room in dict.fromkeys(target.rooms)]
        return [Subscription(self.gateway, target)]


class Receipt(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """The result of a broadcast.

    `position` is its position in history (None for a volatile broadcast). `delivered_locally` is the number of
    connections of this process that it was written to. `replicated` says whether other processes have it too.
    """

    position: Position | None
    delivered_locally: int
    replicated: bool

    if TYPE_CHECKING:  # at run time `msgspec` makes it

        def __init__(self, *, position: str | None, delivered_locally: int, replicated: bool) -> None: ...


class Newest(msgspec.Struct, frozen=True, gc=False):
    """The newest publications to a target, newest first."""

    publications: list[Publication]
    more: bool
    """Whether history has older ones."""
