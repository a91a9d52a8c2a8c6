"""Shared by the gateways of this package under test: the settings, and the app behind the middleware.

The tokens of the clients are verified. Only here, this is part of the cost of a handshake.
"""

from __future__ import annotations

import os

from asgi_realtime import Connection, Limits, RealtimeMiddleware, Settings
from asgi_realtime.gateways.base import Gateway
from benchmarks.systems.control import EVENT, ROOM, Payload, Rooms, control, room_name

SECRET = "not secret: all clients are accepted"

settings = Settings(
    jwt_secret=SECRET,
    redis_url=os.environ.get("REDIS_URL"),
    single_process=True,  # two servers are measured side by side
    recovery_window=float(os.environ.get("MEW_RECOVERY_WINDOW", Settings().recovery_window)),
    # There is a history, but so short that it no longer grows when memory is measured.
    history_size=int(os.environ.get("MEW_HISTORY_SIZE", "32")),
    # All clients have one address and send more than people do. The limits are checked nevertheless.
    limits=Limits(
        sessions_per_address=100_000,
        event_rate=1e9,
        event_burst=1_000_000_000,
        user_event_rate=1e9,
        user_event_burst=1_000_000_000,
    ),
)


published = 0
"""The number of the next message."""


alone: dict[int, Connection] = {}
"""The connection that is alone in a small room."""


async def connected(connection: Connection) -> None:
    """Put a new connection into the room."""
    connection.state = 0
    await connection.join(ROOM)


async def enter(entered: Rooms, connection: Connection) -> dict[str, int]:
    """Put a connection into small rooms, and send it their number."""
    rooms = entered["rooms"]
    for room in rooms:
        await connection.join(room_name(room))
    if len(rooms) == 1:
        alone[rooms[0]] = connection
    return {"number": len(rooms)}


async def join(connection: Connection) -> dict[str, int]:
    """Put a connection into the room again, and send it the number of the next message."""
    await connection.join(ROOM)
    return {"number": published}


async def leave(connection: Connection) -> dict[str, int]:
    """Remove a connection from the room, and send it the number of the first message that it will not receive."""
    await connection.leave(ROOM)
    return {"number": published}


def mount(gateway: Gateway) -> RealtimeMiddleware:
    """Make the app of a system with this gateway."""

    async def broadcast(payload: Payload) -> None:
        global published
        published = payload["number"] + 1
        await middleware.broadcaster.broadcast_to_room(ROOM, EVENT, payload)

    async def volatile(payload: Payload) -> None:
        await middleware.broadcaster.broadcast_to_room(ROOM, EVENT, payload, volatile=True)

    async def except_(room: int, payload: Payload) -> None:
        await middleware.broadcaster.broadcast_to_room(ROOM, EVENT, payload, except_=alone[room].id)

    async def rooms(room: int, payload: Payload) -> None:
        await middleware.broadcaster.broadcast_to_room(room_name(room), EVENT, payload)

    async def users(room: int, payload: Payload) -> None:
        await middleware.broadcaster.broadcast_to_user(alone[room].identity.user_id, EVENT, payload)

    async def connections(room: int, payload: Payload) -> None:
        await alone[room].send(EVENT, payload)

    host = control(broadcast, volatile=volatile, except_=except_, rooms=rooms, users=users, connections=connections)
    middleware = RealtimeMiddleware(host, gateways=[gateway], settings=settings)
    return middleware
