"""A Socket.IO and a JSON gateway that answer `echo`, for `benchmarks.abuse`."""

from __future__ import annotations

import dataclasses

from starlette.applications import Starlette

from asgi_realtime import Connection, Limits, RealtimeMiddleware, SocketIOGateway, WebSocketGateway
from benchmarks.systems.own import settings

socketio = SocketIOGateway("/")
plain = WebSocketGateway("/json")


@socketio.on("echo")
async def echo(value: int) -> int:
    """Acknowledge with the payload."""
    return value


@plain.on("echo")
async def echo_json(value: int, connection: Connection) -> None:
    """Send the payload back."""
    await connection.send("echo", value)


app = RealtimeMiddleware(
    Starlette(), gateways=[socketio, plain], settings=dataclasses.replace(settings, limits=Limits())
)
