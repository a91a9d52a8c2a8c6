"""python-socketio's AsyncServer, as its documentation sets it up."""

from __future__ import annotations

import os
from collections import Counter
from typing import Any

import socketio

from benchmarks.systems.control import EVENT, ROOM, Payload, Rooms, control, room_name

url = os.environ.get("REDIS_URL")
manager = None if url is None else socketio.AsyncRedisManager(url)
server = socketio.AsyncServer(async_mode="asgi", client_manager=manager)
counted: Counter[str] = Counter()


alone: dict[int, str] = {}
"""The client that is alone in a small room."""


async def broadcast(payload: Payload) -> None:
    await server.emit(EVENT, payload, room=ROOM)


async def broadcast_except(room: int, payload: Payload) -> None:
    await server.emit(EVENT, payload, room=ROOM, skip_sid=alone[room])


async def broadcast_to_small_room(room: int, payload: Payload) -> None:
    await server.emit(EVENT, payload, room=room_name(room))


async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
    await server.enter_room(sid, ROOM)


async def enter(sid: str, entered: Rooms) -> dict[str, int]:
    rooms = entered["rooms"]
    for room in rooms:
        await server.enter_room(sid, room_name(room))
    if len(rooms) == 1:
        alone[rooms[0]] = sid
    return {"number": len(rooms)}


async def count(sid: str, payload: Payload) -> None:
    counted[sid] += 1


async def total(sid: str, payload: Payload) -> dict[str, int]:
    counted[sid] += 1
    return {"number": counted[sid]}


for handler in (connect, enter, count, total):
    server.on(handler.__name__, handler)
app = socketio.ASGIApp(server, control(broadcast, except_=broadcast_except, rooms=broadcast_to_small_room))
