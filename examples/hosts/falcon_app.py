from pathlib import Path
from typing import Any

import falcon
import falcon.asgi

from asgi_realtime import Connection, RealtimeMiddleware, SocketIOGateway, get_broadcaster, on


class Chat(SocketIOGateway):
    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


class Database:
    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self.messages: list[Any] = []  # open your database here

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self.messages.clear()


class Page:
    async def on_get(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        resp.content_type = falcon.MEDIA_HTML
        resp.text = Path(__file__).with_name("index.html").read_text(encoding="utf-8")


class Messages:
    async def on_post(self, req: falcon.asgi.Request, resp: falcon.asgi.Response, room: str) -> None:
        message = await req.get_media()
        database.messages.append(message)  # save it, and commit
        broadcaster = await get_broadcaster(req.scope)
        await broadcaster.broadcast_to_room(room, "message", message)
        resp.status, resp.media = falcon.HTTP_201, message


database = Database()
falcon_app = falcon.asgi.App(middleware=[database])
falcon_app.add_route("/", Page())
falcon_app.add_route("/rooms/{room}/messages", Messages())
app = RealtimeMiddleware(falcon_app, gateways=[Chat()])
