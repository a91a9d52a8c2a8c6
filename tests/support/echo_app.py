"""The app that the official protocol suites expect: a raw Engine.IO echo and a Socket.IO echo.

`python -m tests.support.echo_app` serves it on port 3000, where the suites look for it, or on `$PORT`.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import secrets
from typing import Any

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from asgi_realtime import (
    Connection,
    Frame,
    Handshake,
    Identity,
    Limits,
    Mountable,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    on,
)
from asgi_realtime.runtime.fair_turns import TextTurn
from asgi_realtime.socketio import SocketIOServer
from asgi_realtime.transports.engineio import EngineIO, Session
from asgi_realtime.uvicorn.take_over import serve_websocket
from asgi_realtime.values.json import Json

SETTINGS = Settings(ping_interval=0.3, ping_timeout=0.2, limits=Limits(connect_timeout=1.0), cors_origins=("*",))
"""The heartbeat that the suites expect."""
LONG_SETTINGS = dataclasses.replace(SETTINGS, ping_interval=25.0, ping_timeout=20.0)
"""With these values, a close that a suite waits for cannot come from a heartbeat."""


async def accept_all(handshake: Handshake) -> Identity:
    """Accept every client, each as a new user."""
    return Identity(user_id=secrets.token_hex(8))


class EchoGateway(SocketIOGateway):
    """Sends a client the auth that it sent, echoes messages, and acknowledges with the arguments."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.send("auth", connection.handshake.auth or {})

    @on("message")
    async def message(self, connection: Connection, *args: Json) -> None:
        await connection.send("message-back", *args)

    @on("message-with-ack")
    async def message_with_ack(self, *args: Json) -> tuple[Json, ...]:
        return args


def echo_gateways() -> list[Mountable]:
    """The echo, made of gateways."""
    return [EchoGateway(name, authenticator=accept_all) for name in ("/", "/custom")]


def echo_server() -> list[Mountable]:
    """The echo, made with python-socketio's API."""
    server = SocketIOServer()
    for name in ("/", "/custom"):
        _register(server, name)
    return [server]


def _register(server: SocketIOServer, namespace: str) -> None:
    async def connect(sid: str, environ: dict[str, Any], auth: Json) -> None:
        await server.emit("auth", auth or {}, to=sid, namespace=namespace)

    async def message(sid: str, *args: Json) -> None:
        await server.emit("message-back", args, to=sid, namespace=namespace)

    async def message_with_ack(sid: str, *args: Json) -> tuple[Json, ...]:
        return args

    server.on("connect", connect, namespace)
    server.on("message", message, namespace)
    server.on("message-with-ack", message_with_ack, namespace)


class EngineEcho:
    """An Engine.IO application that sends back what it receives."""

    authenticated = True

    def __init__(self, session: Session) -> None:
        self._session = session

    def receive_texts(self, turn: TextTurn) -> None:
        """Leave every text to `receive`."""

    def receive(self, message: str | bytes, now: float) -> bool:
        self._session.push(Frame("4" + message if isinstance(message, str) else message))
        return False

    async def ready(self) -> None:
        return

    def session_ended(self, reason: str) -> None:
        pass


class EchoApp:
    """Both echoes: Engine.IO at `/engine.io`, Socket.IO at `/socket.io`."""

    def __init__(self, gateways: list[Mountable], settings: Settings = SETTINGS) -> None:
        self._socketio = RealtimeMiddleware(PlainTextResponse("not found", 404), gateways=gateways, settings=settings)
        realtime: Realtime = self._socketio.realtime
        self._engineio = EngineIO(
            settings=settings,
            origins=realtime.origins,
            open=EngineEcho,
            wheel=realtime.wheel,
            tasks=realtime.tasks,
            meter=realtime.meter,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan" or not scope["path"].startswith("/engine.io"):
            await self._socketio(scope, receive, send)
        elif scope["type"] == "websocket":
            await serve_websocket(self._engineio, scope, receive, send)
        else:
            await self._engineio(scope, receive, send)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.echo_app", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "api", nargs="?", choices=["gateway", "server"], default="gateway", help="what the Socket.IO echo is made with"
    )
    parser.add_argument("--long", action="store_true", help="heartbeats as slow as by default")
    parser.add_argument(
        "--own-protocol", action="store_true", help="serve with asgi_realtime.uvicorn:WebSocketProtocol"
    )
    options = parser.parse_args()
    app = EchoApp(
        echo_server() if options.api == "server" else echo_gateways(), LONG_SETTINGS if options.long else SETTINGS
    )
    uvicorn.run(
        app,
        host="localhost",
        port=int(os.environ.get("PORT", "3000")),
        ws="asgi_realtime.uvicorn:WebSocketProtocol" if options.own_protocol else "auto",
        log_level="warning",
    )


if __name__ == "__main__":
    main()
