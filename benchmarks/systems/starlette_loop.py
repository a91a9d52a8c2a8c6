"""What people write by hand: a set of Starlette WebSockets and a loop of `send_text`. Speaks just enough Socket.IO."""

from __future__ import annotations

import json

from fastapi import FastAPI
from starlette.websockets import WebSocket, WebSocketDisconnect

from benchmarks.payload import EVENT, payload

app = FastAPI()
clients: set[WebSocket] = set()


@app.websocket("/socket.io/")
async def socket(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text('0{"sid":"x","upgrades":[],"pingInterval":600000,"pingTimeout":600000,"maxPayload":1}')
    await websocket.receive_text()
    await websocket.send_text('40{"sid":"x"}')
    clients.add(websocket)
    try:
        while True:
            await websocket.receive_text()
    except WebSocketDisconnect:
        clients.discard(websocket)


@app.post("/broadcast/{first}/{count}")
async def broadcast(first: int, count: int) -> None:
    for number in range(first, first + count):
        text = f"42{json.dumps([EVENT, payload(number)])}"
        for websocket in tuple(clients):
            await websocket.send_text(text)
