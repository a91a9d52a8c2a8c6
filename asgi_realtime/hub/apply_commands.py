"""What commands do to the connections of this process."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Final

from asgi_realtime.auth.claims import may_have_token_id
from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.hub.mounts import Mount
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.runtime.batches import AT_ONCE, close_in_batches
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    DisconnectConnection,
    DisconnectMembers,
    DisconnectUser,
    EndAll,
    EndsConnections,
    RemoveFromRoom,
    RevokeToken,
    RevokeUser,
    TakeOver,
)
from asgi_realtime.values.ids import GatewayName

CONNECT_AGAIN: Final = (1012, "connect again")
"""Code and reason for the clients of `EndAll`. Stock clients come back after this code."""
REVOKED: Final = (1008, "credentials revoked")
"""Code and reason for clients with a token that is revoked."""
CLOSING_SECONDS: Final = 10.0
"""Within this time all connections that a command ends are closed, however many they are."""


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
    command: EndsConnections, mounts: Mapping[GatewayName, Mount], revocations: Revocations, tasks: Tasks
) -> None:
    """End the connections that a command names, or those whose credentials are revoked from now on.

    They leave the hub in this call. More than `AT_ONCE` are closed in batches, so that the event loop serves others.
    """
    if isinstance(command, EndAll):
        _end_all(command, mounts, tasks)
        return
    if isinstance(command, RevokeToken):
        revocations.revoke_token(command.jti)
    elif isinstance(command, RevokeUser):
        revocations.revoke_user(command.user_id, command.issued_before)
    concerned: list[InternalConnection] = []
    code, reason = REVOKED
    if isinstance(command, DisconnectUser | DisconnectMembers | DisconnectConnection):
        code, reason = command.code, command.reason
        for name, mount in mounts.items():
            if command.gateway in (None, name):
                concerned += _to_disconnect(command, mount.rooms)
    else:
        for mount in mounts.values():
            rooms = mount.rooms
            some: Collection[InternalConnection]
            if isinstance(command, RevokeUser):
                some = rooms.of_user(command.user_id)
            elif isinstance(command, RevokeToken):
                may_have = may_have_token_id(command.jti)
                some = [connection for connection in rooms.everybody if may_have(connection.identity.claims)]
            else:
                some = rooms.everybody
            concerned += [connection for connection in some if revocations.is_revoked(connection.identity)]
    ended = [connection for connection in concerned if connection.leave_hub(code, reason)]
    _close(ended, lambda connection: connection.transport.close(code, reason), tasks)


def _to_disconnect(
    command: DisconnectUser | DisconnectMembers | DisconnectConnection, rooms: Rooms
) -> Sequence[InternalConnection]:
    match command:
        case DisconnectUser():
            return rooms.of_user(command.user_id)
        case DisconnectMembers():
            return rooms.of_room(command.room)
        case DisconnectConnection():
            found = rooms.get(command.connection_id)
            return () if found is None else (found,)


def _end_all(command: EndAll, mounts: Mapping[GatewayName, Mount], tasks: Tasks) -> None:
    """Write nothing more to the connections of a gateway, and close them in batches."""
    concerned = [
        connection
        for name, mount in mounts.items()
        if command.gateway in (None, name)
        for connection in mount.rooms.everybody
    ]
    for connection in concerned:
        connection.hold()  # a user who was removed from a room receives nothing more of it

    _close(concerned, lambda connection: connection.end(*CONNECT_AGAIN), tasks)


def _close(
    connections: Sequence[InternalConnection], close: Callable[[InternalConnection], None], tasks: Tasks
) -> None:
    """Close a batch in this call, or several of them in a task."""
    if len(connections) > AT_ONCE:
        tasks.spawn(close_in_batches(connections, close, seconds=CLOSING_SECONDS), name="closing connections")
        return
    for connection in connections:
        close(connection)
