"""One node of a FastAPI app that passes its own client of Redis: `python -m tests.support.ready_client_app` serves it.

`POST /call` calls a method of the broadcaster, and `POST /server` one of the `SocketIOServer`. `POST /visits` counts in
Redis with the client.
"""

from __future__ import annotations

import argparse
import logging
import os
from dataclasses import replace

import uvicorn
from fastapi import FastAPI
from redis.asyncio import Redis
from starlette.requests import Request

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, on
from asgi_realtime.socketio import AsyncServer
from tests.support.call_route import call, calls_to


class Lobby(SocketIOGateway):
    """Clients join rooms themselves."""

    @on("join")
    async def join(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return connection.id


client = Redis.from_url(os.environ.get("MEW_REDIS_URL", "redis://localhost"), decode_responses=True, max_connections=1)
settings = replace(Settings.from_env(), redis_url=None)
server = AsyncServer(async_mode="asgi", namespaces=["/chat"])


@server.on("join", namespace="/chat")
async def join(sid: str, room: str) -> str:
    await server.enter_room(sid, room, namespace="/chat")
    return sid


async def the_server(request: Request) -> AsyncServer:
    return server


app = FastAPI()
app.add_api_route("/call", call, methods=["POST"])
app.add_api_route("/server", calls_to(the_server), methods=["POST"])
app.add_middleware(RealtimeMiddleware, gateways=[Lobby("/"), server], settings=settings, redis=client)


@app.post("/visits")
async def count_visit() -> int:
    return int(await client.incr(f"{settings.redis_prefix}:visits"))


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.ready_client_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(app, port=0)
