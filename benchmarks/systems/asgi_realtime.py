"""This package: one Socket.IO gateway without authentication."""

from __future__ import annotations

from fastapi import Depends, FastAPI

from asgi_realtime import (
    Broadcaster,
    Connection,
    Handshake,
    Identity,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    get_broadcaster,
)
from benchmarks.payload import EVENT, ROOM, payload


async def anybody(handshake: Handshake) -> Identity:
    return Identity(user_id=handshake.auth["user"])


class Room(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join(ROOM)


app = FastAPI()
app.add_middleware(
    RealtimeMiddleware,
    gateways=[Room(authenticator=anybody)],
    settings=Settings(limits=Limits(sessions_per_address=100_000)),
)
broadcaster_of = Depends(get_broadcaster)


@app.post("/broadcast/{first}/{count}")
async def broadcast(first: int, count: int, broadcaster: Broadcaster = broadcaster_of) -> None:
    for number in range(first, first + count):
        await broadcaster.broadcast_to_room(ROOM, EVENT, payload(number))
