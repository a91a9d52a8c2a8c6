from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from litestar import Litestar, get, post
from litestar.datastructures import State
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from litestar.response import File

from asgi_realtime import Broadcaster, Connection, SocketIOGateway, on
from asgi_realtime.litestar import RealtimePlugin


@dataclass
class Message:
    text: str


class Chat(SocketIOGateway):
    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


@asynccontextmanager
async def lifespan(app: Litestar) -> AsyncIterator[None]:
    app.state.messages = []  # open your database here
    yield
    app.state.messages.clear()


@get("/", include_in_schema=False)
async def page() -> File:
    return File(Path(__file__).with_name("index.html"), media_type="text/html", content_disposition_type="inline")


@post("/rooms/{room:str}/messages")
async def create(
    room: FromPath[str], data: JSONBody[Message], state: State, broadcaster: NamedDependency[Broadcaster]
) -> Message:
    state.messages.append(data)  # save it, and commit
    await broadcaster.broadcast_to_room(room, "message", data)
    return data


app = Litestar([page, create], lifespan=[lifespan], plugins=[RealtimePlugin(gateways=[Chat()])])
