"""All gateways on one server with every log enabled: `python -m tests.support.secrets_app --server uvicorn`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import tempfile
from pathlib import Path
from typing import Any, cast

import hypercorn.asyncio
import uvicorn
from hypercorn.config import Config as HypercornConfig
from starlette.applications import Starlette

from asgi_realtime import (
    ChatGateway,
    EventsGateway,
    Identity,
    InfraGateway,
    JobsGateway,
    MewGateway,
    Mountable,
    RealtimeMiddleware,
    Settings,
    SocketIOServer,
    UserRooms,
    WebSocketGateway,
)
from tests.support.chat_app import Service as ChatService
from tests.support.servers import WEBSOCKETS, Implementation
from tests.support.target_app import TargetGateway, TargetPath

ADMINISTRATOR = {"username": "admin", "password": "password-of-the-administrator"}


class MewService:
    """Refuses every message with an error that contains nothing from the client."""

    async def rooms_of(self, identity: Identity) -> UserRooms:
        return UserRooms({"server": ["channel"]})

    async def create_message(self, *_: Any) -> None:
        raise LookupError("no database")


def python_socketio() -> SocketIOServer:
    """A server of python-socketio's API, with its logs on and the Admin UI."""
    sio = SocketIOServer(logger=True, engineio_logger=True, namespaces=["/python"])

    @sio.on("known", namespace="/python")
    async def known(sid: str, *args: Any) -> Any:
        await sio.emit("answer", args, to=sid, namespace="/python")
        return args

    @sio.on("fails", namespace="/python")
    async def fails(sid: str, *args: Any) -> None:
        raise LookupError("no database")

    @sio.on("*", namespace="/python")
    async def others(event: str, sid: str, *args: Any) -> None:
        raise LookupError("no database")

    sio.instrument(auth=ADMINISTRATOR)
    return sio


def make_app(folder: Path) -> RealtimeMiddleware:
    """Mount all gateways."""
    gateways: list[Mountable] = [
        MewGateway(service=MewService()),
        InfraGateway(),
        EventsGateway(),
        ChatGateway(service=ChatService(folder / "chat.db")),
        JobsGateway(),
        WebSocketGateway("/jwt"),
        TargetGateway("/target"),
        TargetPath(),
        python_socketio(),
    ]
    return RealtimeMiddleware(Starlette(), gateways=gateways, settings=Settings.from_env())


async def serve(server: Implementation, level: str) -> None:
    """Serve the app."""
    with tempfile.TemporaryDirectory() as folder:
        app = cast("Any", make_app(Path(folder)))
        logging.getLogger("asgi_realtime").setLevel(1)  # the level of the server with python-socketio's API is INFO
        if server == "hypercorn":
            config = HypercornConfig()
            config.bind = ["127.0.0.1:0"]
            config.accesslog = config.errorlog = "-"
            config.loglevel = level
            await hypercorn.asyncio.serve(app, config)
        else:
            await uvicorn.Server(uvicorn.Config(app, port=0, ws=WEBSOCKETS[server], log_level=level)).serve()


def main() -> None:
    """Enable all log records, and set the server's own logger to its level."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--server", required=True)
    parser.add_argument("--log-level", default="info")
    parser.add_argument(
        "--steps", action="store_true", help="log every step of the event loop, by asyncio's debug mode"
    )
    options = parser.parse_args()
    logging.basicConfig(level=logging.NOTSET, format="package: %(levelname)s %(name)s %(message)s")
    logging.root.setLevel(1)
    with asyncio.Runner(debug=options.steps) as runner:
        runner.get_loop().slow_callback_duration = 0
        runner.run(serve(options.server, options.log_level))


if __name__ == "__main__":
    main()
