"""This package: a JSON WebSocket gateway."""

from __future__ import annotations

from asgi_realtime import Connection, WebSocketGateway, on
from benchmarks.systems import own
from benchmarks.systems.control import Payload, Rooms


class Room(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await own.connected(connection)

    @on("enter")
    async def enter(self, rooms: Rooms, connection: Connection) -> None:
        await connection.send("entered", await own.enter(rooms, connection))

    @on("count")
    async def count(self, payload: Payload, connection: Connection) -> None:
        connection.state += 1

    @on("total")
    async def total(self, payload: Payload, connection: Connection) -> None:
        connection.state += 1
        await connection.send("total", {"number": connection.state})

    @on("join")
    async def join(self, connection: Connection) -> None:
        await connection.send("moved", await own.join(connection))

    @on("leave")
    async def leave(self, connection: Connection) -> None:
        await connection.send("moved", await own.leave(connection))


app = own.mount(Room("/room"))
