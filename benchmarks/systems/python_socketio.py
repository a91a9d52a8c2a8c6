"""python-socketio's AsyncServer under the same server, with the same route."""

from __future__ import annotations

from typing import Any

import socketio
from fastapi import FastAPI

from benchmarks.payload import EVENT, ROOM, payload

host = FastAPI()
server = socketio.AsyncServer(async_mode="asgi")
app = socketio.ASGIApp(server, host)


async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    await server.enter_room(sid, ROOM)


server.on("connect", connect)


@host.post("/broadcast/{first}/{count}")
async def broadcast(first: int, count: int) -> None:
    for number in range(first, first + count):
        await server.emit(EVENT, payload(number), room=ROOM)
