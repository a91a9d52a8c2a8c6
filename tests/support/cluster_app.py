"""One node of a cluster: `python -m tests.support.cluster_app` serves it on a free port, with the variables given.

`POST /call` calls a method of the node's broadcaster. `ROOMS` names a JSON file with the rooms of each user. The
seconds in `ROOMS_DELAY` and `OFFLINE_DELAY` make the host slow.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from asgi_realtime import (
    Connection,
    Identity,
    RealtimeMiddleware,
    SocketIOGateway,
    WebSocketGateway,
    on,
)
from tests.support.call_route import call


class Rooms(SocketIOGateway):
    """Clients join rooms themselves, or get the rooms of the file."""

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        found = _rooms_by_user().get(identity.user_id, {})
        await asyncio.sleep(float(os.environ.get("ROOMS_DELAY", "0")))
        return found

    async def on_connect(self, connection: Connection) -> None:
        await self.enter_rooms(connection)

    async def on_online(self, connection: Connection) -> None:
        await self.broadcaster.broadcast_to_room("presence", "online", connection.identity.user_id)

    async def on_offline(self, user_id: str) -> None:
        await asyncio.sleep(float(os.environ.get("OFFLINE_DELAY", "0")))
        await self.broadcaster.broadcast_to_room("presence", "offline", user_id)

    @on("join")
    async def join(self, room: str, connection: Connection, parent: str | None = None) -> str:
        await connection.join(room, parent=parent)
        return connection.id

    @on("leave")
    async def leave(self, room: str, connection: Connection) -> None:
        await connection.leave(room)


class OneDevice(SocketIOGateway):
    """The newest connection of a user replaces the others."""

    async def on_connect(self, connection: Connection) -> None:
        await self.broadcaster.take_over(connection, "replaced", {"by": "another device"})


def _rooms_by_user() -> dict[str, dict[str, str | None]]:
    found: dict[str, dict[str, str | None]] = json.loads(Path(os.environ["ROOMS"]).read_text())
    return found


rooms = Rooms("/")
app = RealtimeMiddleware(
    Starlette(routes=[Route("/call", call, methods=["POST"])]),
    gateways=[rooms, OneDevice("/device"), WebSocketGateway("/ws")],
)

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.cluster_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(app, port=0)
