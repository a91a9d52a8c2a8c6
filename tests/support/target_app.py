"""The app under attack: one gateway that accepts clients by name, in this process or in a separate one.

`python -m tests.support.target_app` serves it, on a free port, with the settings of the environment.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
from dataclasses import replace
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_realtime import (
    Connection,
    Forbidden,
    Handshake,
    HealthApp,
    Identity,
    InfraGateway,
    Limits,
    Mountable,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    Unauthorized,
    WebSocketGateway,
    get_broadcaster,
    on,
)
from asgi_realtime.values.json import Json
from tests.support.waiting import no_user_online, until

PATIENCE = 5.0
"""The longest time that a test waits for anything, in seconds."""


async def by_name(handshake: Handshake) -> Identity:
    """Accept each client that sends a name."""
    name = handshake.auth.get("name") if isinstance(handshake.auth, dict) else None
    if not isinstance(name, str) or not name:
        raise Unauthorized
    return Identity(user_id=name)


class TargetGateway(SocketIOGateway):
    """Puts each client in the room `everybody`. `echo` acknowledges with its arguments; `join` enters any room."""

    def __init__(self, namespace: str = "/", *, limits: Limits | None = None) -> None:
        super().__init__(namespace, authenticator=by_name, limits=limits)
        self.received: list[Json] = []
        self.left: list[tuple[str, str]] = []

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("everybody")

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append((connection.identity.user_id, reason))

    @on("echo")
    async def echo(self, *args: Json) -> tuple[Json, ...]:
        self.received.extend(args)
        return args

    @on("join")
    async def join(self, room: Json, connection: Connection) -> bool:
        await connection.join(room)
        return True

    @on("forbidden")
    async def forbidden(self) -> None:
        raise Forbidden("no")


class TargetPath(WebSocketGateway):
    """The same as a JSON WebSocket. It answers `echo` with an event."""

    def __init__(self) -> None:
        super().__init__("/json", authenticator=by_name)
        self.left: list[tuple[str, str]] = []

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("everybody")

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append((connection.identity.user_id, reason))

    @on("echo")
    async def echo(self, data: Json, connection: Connection) -> None:
        await connection.send("echo", data)


class Target:
    """The app for the `serve` fixture, with its parts."""

    def __init__(
        self,
        *gateways: Mountable,
        settings: Settings | None = None,
        limits: Limits | None = None,
        **values: Any,
    ) -> None:
        self.gateway = TargetGateway()
        self.path = TargetPath()
        health = HealthApp()
        self.host = Starlette(
            routes=[
                Route("/broadcast", _broadcast, methods=["POST"]),
                Route("/healthz", health),
                Route("/readyz", health),
                Route("/state", self._state),
            ]
        )
        self.app = RealtimeMiddleware(
            self.host,
            gateways=[self.gateway, self.path, *gateways],
            # Without presence grace, everything that is left after the last connection is a leak.
            settings=replace(settings or Settings(limits=limits or Limits(), **values), presence_grace=0.0),
        )

    @property
    def realtime(self) -> Realtime:
        return self.app.realtime

    def state(self) -> dict[str, int]:
        """The numbers of objects for clients. All are zero after the last client."""
        realtime = self.realtime
        rooms = [realtime.hub.rooms(gateway) for gateway in realtime.registry]
        return {
            "sessions": len(realtime.engineio.sessions),
            "connections": sum(map(len, rooms)),
            "rooms": sum(len(of_gateway.names) for of_gateway in rooms),
            "tasks": len(realtime.tasks),
        }

    async def settled(self) -> dict[str, int]:
        """The state once no task runs."""
        async with asyncio.timeout(PATIENCE):
            await self.realtime.tasks.until_idle()
        return self.state()

    async def emptied(self) -> None:
        """Wait until every session and every task has ended; nothing may be left of them."""
        with contextlib.suppress(TimeoutError):
            await until(self._is_empty, seconds=PATIENCE)
        assert not any(self.state().values()), self.state()
        await no_user_online(self.realtime)  # a grace period of zero is also a timer

    async def _is_empty(self) -> bool:
        await self.realtime.tasks.until_idle()
        return not any(self.state().values())

    async def _state(self, request: Request) -> Response:
        return JSONResponse(self.state() | {"left": self.gateway.left})


async def _broadcast(request: Request) -> Response:
    """Broadcast `count` events of `bytes` bytes to all clients, each as one request of a host."""
    wanted = await request.json()
    broadcaster = await get_broadcaster(request)
    data = "x" * wanted["bytes"]
    for number in range(wanted["count"]):
        await broadcaster.broadcast_to_room("everybody", "event", [number, data], gateway=wanted.get("gateway"))
        await asyncio.sleep(0)
    return Response(status_code=204)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--ws", default="websockets-sansio")
    parser.add_argument("--ws-max-size", type=int, default=16 << 20)
    parser.add_argument("--log-level", default="info")
    options = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG, format="package: %(levelname)s %(name)s %(message)s")
    target = Target(InfraGateway(), WebSocketGateway("/chat"), settings=Settings.from_env())
    uvicorn.run(target.app, port=0, ws=options.ws, ws_max_size=options.ws_max_size, log_level=options.log_level)


if __name__ == "__main__":
    main()
