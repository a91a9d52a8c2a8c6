"""Commands: changes of rooms and ends of connections. Each process applies them in order with publications."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName, UserId
from asgi_realtime.values.publications import Target


class AddToRoom(msgspec.Struct, frozen=True, tag="add"):
    """Put every connection of a user into a room. A connection that leaves `parent` later leaves this room too."""

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
    """Ask the host again which rooms these users may see. Until it answers, events for these users are held back."""

    gateway: GatewayName
    target: Target


class DisconnectUser(msgspec.Struct, frozen=True, tag="disconnect"):
    """Close every connection of a user, and its transport. `gateway` None: on every gateway."""

    gateway: GatewayName | None
    user_id: UserId
    code: int
    reason: str


class DisconnectMembers(msgspec.Struct, frozen=True, tag="disconnect_members"):
    """Close every connection that is in a room."""

    gateway: GatewayName
    room: RoomName
    code: int
    reason: str


class DisconnectConnection(msgspec.Struct, frozen=True, tag="disconnect_connection"):
    """Close one connection."""

    gateway: GatewayName
    connection_id: ConnectionId
    code: int
    reason: str


class TakeOver(msgspec.Struct, frozen=True, tag="take_over", kw_only=True):
    """Make a connection its user's only one on the gateway. The earlier ones get a last event and are closed.

    A connection is earlier if its own TakeOver was applied before this one. All processes apply commands in the
    same order. So if several clients connect at the same time, on any processes, the last command wins. A connection
    whose own command has not been applied yet is not closed.
    """

    gateway: GatewayName
    user_id: UserId
    connection_id: ConnectionId
    event: str
    payload: bytes
    code: int
    reason: str


class RevokeToken(msgspec.Struct, frozen=True, tag="revoke_token"):
    """Refuse a token from now on, and close the connections that were opened with it."""

    jti: str


class RevokeUser(msgspec.Struct, frozen=True, tag="revoke_user"):
    """Refuse every token of a user issued before a time (seconds since the epoch), and close its connections."""

    user_id: UserId
    issued_before: float


class EndRevoked(msgspec.Struct, frozen=True, tag="end_revoked"):
    """Close the connections whose credentials are revoked. The broker has read revocations that were not known here."""


class EndAll(msgspec.Struct, frozen=True, tag="end_all"):
    """Close every connection of a gateway of this process, so that its client connects again. None: of every gateway.

    The broker has missed commands here, so it is not known who may be connected, and in which rooms.
    """

    gateway: GatewayName | None


EndsConnections: TypeAlias = (
    DisconnectUser | DisconnectMembers | DisconnectConnection | RevokeToken | RevokeUser | EndRevoked | EndAll
)
Command: TypeAlias = AddToRoom | RemoveFromRoom | CloseRoom | RefreshRooms | TakeOver | EndsConnections
