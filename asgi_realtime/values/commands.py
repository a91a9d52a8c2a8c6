"""Commands: changes of membership and ends of connections that each process applies in order with publications."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Target


class AddToRoom(msgspec.Struct, frozen=True, tag="add"):
    """Put every connection of a user into a room (below `parent`, which takes it along when left)."""

    gateway: GatewayName
    user_id: UserId
    room: RoomName
    parent: RoomName | None = None


class RemoveFromRoom(msgspec.Struct, frozen=True, tag="remove"):
    """Take every connection of a user out of a room and of the rooms below it."""

    gateway: GatewayName
    user_id: UserId
    room: RoomName


class CloseRoom(msgspec.Struct, frozen=True, tag="close_room"):
    """Empty a room and the rooms below it."""

    gateway: GatewayName
    room: RoomName


class RefreshRooms(msgspec.Struct, frozen=True, tag="refresh"):
    """Ask the host again which rooms these users may see; nothing reaches them in between."""

    gateway: GatewayName
    target: Target


class DisconnectUser(msgspec.Struct, frozen=True, tag="disconnect"):
    """Close every connection of a user, transports included."""

    gateway: GatewayName | None
    user_id: UserId
    code: int
    reason: str


class TakeOver(msgspec.Struct, frozen=True, tag="take_over", kw_only=True):
    """Make a connection its user's only one on the gateway: the earlier ones get a last event and are closed.

    Earlier are those that took over before, in the order of commands. So of several at the same time,
    on whatever processes, the last one stays; one whose own command is still to come is left alone.
    """

    gateway: GatewayName
    user_id: UserId
    connection_id: ConnectionId
    event: str
    payload: bytes
    code: int
    reason: str


class RevokeToken(msgspec.Struct, frozen=True, tag="revoke_token"):
    """Refuse a token from now on, and cut the connections that were opened with it."""

    jti: str


class RevokeUser(msgspec.Struct, frozen=True, tag="revoke_user"):
    """Refuse every token of a user issued up to now (seconds since the epoch), and cut the user off."""

    user_id: UserId
    issued_before: float


Command: TypeAlias = (
    AddToRoom | RemoveFromRoom | CloseRoom | RefreshRooms | DisconnectUser | TakeOver | RevokeToken | RevokeUser
)
