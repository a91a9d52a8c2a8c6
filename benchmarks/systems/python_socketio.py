"""python-socketio's AsyncServer, as its documentation sets it up."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import socketio

from benchmarks.systems.control import EVENT, ROOM, Payload, control

url = os.environ.get("REDIS_URL")
manager = None if url is None else socketio.AsyncRedisManager(url)
server = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
counted: Counter[str] = Counter()


async def broadcast(payload: Payload) -> None:
    await server.emit(EVENT, payload, room=ROOM)


async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    await server.enter_room(sid, ROOM)


async def count(sid: str, payload: Payload) -> None:
    counted[sid] += 1


async def total(sid: str, payload: Payload) -> dict[str, int]:
    counted[sid] += 1
    return {"number": counted[sid]}


for handler in (connect, count, total):
    server.on(handler.__name__, handler)
app = socketio.ASGIApp(server, control(broadcast))
