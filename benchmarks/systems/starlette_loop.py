"""The usual hand-written loop: a set of Starlette WebSockets, and `send_text` for each."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.systems.control import EVENT, Payload, control

clients: set[WebSocket] = set()


async def broadcast(payload: Payload) -> None:
    text = json.dumps({"type": EVENT, "data": payload})
    for websocket in tuple(clients):
        await websocket.send_text(text)


async def room(websocket: WebSocket) -> None:
    counted = 0
    await websocket.accept()
    try:
        while True:
            kind = json.loads(await websocket.receive_text())["type"]
            if kind == "auth":
                await websocket.send_text('{"type":"auth_success"}')
                clients.add(websocket)
                continue
            counted += 1
            if kind == "total":
                await websocket.send_text(json.dumps({"type": "total", "data": {"number": counted}}))
    except WebSocketDisconnect:
        clients.discard(websocket)


app = Starlette(routes=[WebSocketRoute("/room", room), Mount("/", control(broadcast))])
