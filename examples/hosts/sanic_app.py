from pathlib import Path

from sanic import Request, Sanic, json
from sanic.response import HTTPResponse, file

from asgi_realtime import Connection, RealtimeMiddleware, SocketIOGateway, get_broadcaster, on


class Chat(SocketIOGateway):
    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


sanic_app = Sanic("chat")


@sanic_app.before_server_start
async def open_database(app: Sanic) -> None:
    app.ctx.messages = []  # open your database here


@sanic_app.after_server_stop
async def close_database(app: Sanic) -> None:
    app.ctx.messages.clear()


@sanic_app.get("/")
async def page(request: Request) -> HTTPResponse:
    return await file(Path(__file__).with_name("index.html"))


@sanic_app.post("/rooms/<room:str>/messages")
async def create(request: Request, room: str) -> HTTPResponse:
    message = request.json
    request.app.ctx.messages.append(message)  # save it, and commit
    broadcaster = await get_broadcaster(request.scope)
    await broadcaster.broadcast_to_room(room, "message", message)
    return json(message, status=201)


app = RealtimeMiddleware(sanic_app, gateways=[Chat()])
