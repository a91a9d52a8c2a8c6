"""The app of the deployment tests. `tests.support.deployed_app` has it for the command lines of servers.

Every client enters the room `everybody`. `POST /broadcast` sends its body to that room, as the event `news` of both
gateways.
"""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_realtime import (
    Connection,
    HealthApp,
    PrometheusMetrics,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    get_broadcaster,
    on,
)
from asgi_realtime.values.json import Json


class Rooms(SocketIOGateway):
    """Clients of Socket.IO."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("everybody")

    @on("echo")
    async def echo(self, *args: Json) -> tuple[Json, ...]:
        return args

    @on("join")
    async def join(self, room: str, connection: Connection) -> bool:
        await connection.join(room)
        return True

    @on("address")
    async def address(self, connection: Connection) -> str | None:
        return connection.handshake.client_address


class News(WebSocketGateway):
    """Clients of a JSON WebSocket, which get their address first."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("everybody")
        await connection.send("address", connection.handshake.client_address)


async def who(request: Request) -> Response:
    """The client's address, and the process that answers."""
    return JSONResponse({"address": request.client.host if request.client else None, "process": os.getpid()})


async def broadcast(request: Request) -> Response:
    """Send the body to all clients."""
    broadcaster = await get_broadcaster(request)
    data = await request.json()
    for gateway in ("/", "/news"):
        await broadcaster.broadcast_to_room("everybody", "news", data, gateway=gateway)
    return Response(status_code=204)


def create_app(settings: Settings | None = None) -> RealtimeMiddleware:
    """Make the app. `settings` default to the variables of the environment."""
    metrics = PrometheusMetrics(CollectorRegistry())
    routes = [
        Route("/who", who),
        Route("/readyz", HealthApp()),
        Route("/metrics", metrics.app),
        Route("/broadcast", broadcast, methods=["POST"]),
    ]
    gateways = [Rooms("/"), News("/news")]
    return RealtimeMiddleware(Starlette(routes=routes), gateways=gateways, settings=settings, metrics=metrics)
