"""What the gateways of this package under test share: their settings, and the app behind the middleware.

The tokens of the clients are verified: that is part of what a handshake costs here, and only here.
"""

from __future__ import annotations

from asgi_realtime import Connection, Limits, RealtimeMiddleware, Settings
from asgi_realtime.gateways.base import Gateway
from benchmarks.systems.control import EVENT, ROOM, Payload, control

SECRET = "no secret at all: everybody is let in"

settings = Settings(
    jwt_secret=SECRET,
    # Kept all the same, but so short that it has stopped to grow when memory is looked at.
    history_size=32,
    # All clients come from one address and say more than people do. The limits are checked all the same.
    limits=Limits(
        sessions_per_address=100_000,
        event_rate=1e9,
        event_burst=1_000_000_000,
        user_event_rate=1e9,
        user_event_burst=1_000_000_000,
    ),
)


published = 0
"""The number of the message that comes next."""


async def enter(connection: Connection) -> None:
    """Put a new connection into the room."""
    connection.state = 0
    await connection.join(ROOM)


async def join(connection: Connection) -> dict[str, int]:
    """Put a connection into the room again, and say which message it gets next."""
    await connection.join(ROOM)
    return {"number": published}


async def leave(connection: Connection) -> dict[str, int]:
    """Take a connection out of the room, and say which message is the first that it does not get."""
    await connection.leave(ROOM)
    return {"number": published}


def mount(gateway: Gateway) -> RealtimeMiddleware:
    """Make the app of a system with this gateway."""

    async def broadcast(payload: Payload) -> None:
        global published
        published = payload["number"] + 1
        await middleware.broadcaster.broadcast_to_room(ROOM, EVENT, payload)

    middleware = RealtimeMiddleware(control(broadcast), gateways=[gateway], settings=settings)
    return middleware
