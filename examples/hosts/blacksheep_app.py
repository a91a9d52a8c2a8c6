from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from blacksheep import Application, FromJSON, Request, Response, html, json

from asgi_realtime import Connection, RealtimeMiddleware, SocketIOGateway, get_broadcaster, on


class Chat(SocketIOGateway):
    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


messages: list[Any] = []
blacksheep_app = Application()


@blacksheep_app.lifespan
async def lifespan() -> AsyncIterator[None]:
    messages.clear()  # open your database here
    yield
    messages.clear()


@blacksheep_app.router.get("/")
async def page() -> Response:
    return html(Path(__file__).with_name("index.html").read_text(encoding="utf-8"))


@blacksheep_app.router.post("/rooms/{room}/messages")
async def create(request: Request, room: str, message: FromJSON[dict[str, str]]) -> Response:
    messages.append(message.value)  # save it, and commit
    broadcaster = await get_broadcaster(request.scope)
    await broadcaster.broadcast_to_room(room, "message", message.value)
    return json(message.value, status=201)


app = RealtimeMiddleware(blacksheep_app, gateways=[Chat()])
