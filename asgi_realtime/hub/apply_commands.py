"""What commands do to the connections of this process."""

from __future__ import annotations

from collections.abc import Mapping

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.mounts import Mount
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    DisconnectUser,
    EndRevoked,
    RemoveFromRoom,
    RevokeToken,
    RevokeUser,
    TakeOver,
)
from asgi_realtime.values.ids import GatewayName


def move(command: AddToRoom | RemoveFromRoom | CloseRoom, rooms: Rooms, connection: InternalConnection) -> None:
    """Put one connection into the room of a command, or take it out."""
    if isinstance(command, AddToRoom):
        rooms.join(connection, command.room, command.parent)
    else:
        rooms.leave(connection, command.room)


def take_over(command: TakeOver, mount: Mount) -> None:
    """End the user's connections that took over before, after a last event."""
    last = mount.dialect.event(command.event, command.payload)
    for connection in mount.rooms.of_user(command.user_id):
        if connection.id == command.connection_id:
            connection.took_over = True
        elif connection.took_over:
            connection.end(command.code, command.reason, last)


def end_connections(
    command: RevokeToken | RevokeUser | EndRevoked | DisconnectUser,
    mounts: Mapping[GatewayName, Mount],
    revocations: Revocations,
) -> None:
    """End the connections of a user, or those whose credentials are revoked from now on."""
    if isinstance(command, RevokeToken):
        revocations.revoke_token(command.jti)
    elif isinstance(command, RevokeUser):
        revocations.revoke_user(command.user_id, command.issued_before)
    for name, mount in mounts.items():
        if isinstance(command, DisconnectUser):
            if command.gateway in (None, name):
                for connection in mount.rooms.of_user(command.user_id):
                    connection.end(command.code, command.reason)
            continue
        concerned = mount.rooms.of_user(command.user_id) if isinstance(command, RevokeUser) else mount.rooms.everybody
        for connection in concerned:
            if revocations.is_revoked(connection.identity):
                connection.end(1008, "credentials revoked")
