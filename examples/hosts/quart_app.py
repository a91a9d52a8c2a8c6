from pathlib import Path

from quart import Quart, request, send_file
from quart.typing import ResponseReturnValue

from asgi_realtime import Connection, RealtimeMiddleware, SocketIOGateway, get_broadcaster, on


class Chat(SocketIOGateway):
    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


app = Quart(__name__)
app.asgi_app = RealtimeMiddleware(app.asgi_app, gateways=[Chat()])


@app.before_serving
async def open_database() -> None:
    app.extensions["messages"] = []  # open your database here


@app.after_serving
async def close_database() -> None:
    app.extensions["messages"].clear()


@app.get("/")
async def page() -> ResponseReturnValue:
    return await send_file(Path(__file__).with_name("index.html"))


@app.post("/rooms/<room>/messages")
async def create(room: str) -> ResponseReturnValue:
    message = await request.get_json()
    app.extensions["messages"].append(message)  # save it, and commit
    broadcaster = await get_broadcaster(request.scope)
    await broadcaster.broadcast_to_room(room, "message", message)
    return message, 201
