"""Publications: events on their way to recipients, and what became of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NewType, TypeAlias

import msgspec

from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId

Position = NewType("Position", str)
"""An opaque place in a broker's history."""


class ToRoom(msgspec.Struct, frozen=True, tag="room"):
    """Everybody in a room of the gateway."""

    room: RoomName


class ToUsers(msgspec.Struct, frozen=True, tag="users"):
    """Every connection of some users: their personal rooms, a key space no client can name."""

    user_ids: tuple[UserId, ...]


class ToAll(msgspec.Struct, frozen=True, tag="all"):
    """Every connection of the gateway."""


Target: TypeAlias = ToRoom | ToUsers | ToAll


class Subscription(msgspec.Struct, frozen=True):
    """What a process subscribes to at the broker: a room, one user's personal room, or all of a gateway.

    `target` names no more than one user. The three kinds are key spaces that cannot meet.
    """

    gateway: GatewayName
    target: Target


class Publication(msgspec.Struct, frozen=True, kw_only=True):
    """One event on its way to its recipients. The payload was encoded once, by the publisher.

    `payload` is JSON (empty: the event has no payload). Where the payload held `bytes`,
    `attachments` has them and the JSON has Socket.IO placeholders in their places. `except_` names
    connections that are left out. A volatile publication skips history and may be dropped for a
    client that is behind.
    """

    gateway: GatewayName
    target: Target
    event: str
    payload: bytes = b""
    attachments: tuple[bytes, ...] = ()
    except_: tuple[ConnectionId, ...] = ()
    volatile: bool = False
    position: Position | None = None

    def subscriptions(self) -> list[Subscription]:
        """Where it goes: a process that has subscribed to any of these receives it, once."""
        target = self.target
        if type(target) is ToUsers and len(target.user_ids) != 1:
            users = dict.fromkeys(target.user_ids)
            return [Subscription(self.gateway, ToUsers((user_id,))) for user_id in users]
        return [Subscription(self.gateway, target)]


class Receipt(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a broadcast.

    `position` is its place in history (None for a volatile one), `delivered_locally` the number of
    this process's connections it was written to, `replicated` whether other processes have it too.
    """

    position: Position | None
    delivered_locally: int
    replicated: bool

    if TYPE_CHECKING:  # at run time `msgspec` makes it

        def __init__(self, *, position: str | None, delivered_locally: int, replicated: bool) -> None: ...
