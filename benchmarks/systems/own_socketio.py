"""This package: a Socket.IO gateway."""

from __future__ import annotations

from asgi_realtime import Connection, SocketIOGateway, on
from benchmarks.systems import own
from benchmarks.systems.control import Payload, Rooms


class Room(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await own.connected(connection)

    @on("enter")
    async def enter(self, rooms: Rooms, connection: Connection) -> dict[str, int]:
        return await own.enter(rooms, connection)

    @on("count")
    async def count(self, payload: Payload, connection: Connection) -> None:
        connection.state += 1

    @on("total")
    async def total(self, payload: Payload, connection: Connection) -> dict[str, int]:
        connection.state += 1
        return {"number": connection.state}

    @on("join")
    async def join(self, connection: Connection) -> dict[str, int]:
        return await own.join(connection)

    @on("leave")
    async def leave(self, connection: Connection) -> dict[str, int]:
        return await own.leave(connection)


app = own.mount(Room())
