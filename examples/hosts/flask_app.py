from pathlib import Path

from a2wsgi import WSGIMiddleware
from flask import Flask, request, send_file
from flask.typing import ResponseReturnValue

from asgi_realtime import Connection, RealtimeMiddleware, SocketIOGateway, on
from asgi_realtime.wsgi import get_broadcaster


class Chat(SocketIOGateway):
    async def on_start(self) -> None:
        flask_app.extensions["messages"] = []  # open your database here

    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


flask_app = Flask(__name__)


@flask_app.get("/")
def page() -> ResponseReturnValue:
    return send_file(Path(__file__).with_name("index.html"))


@flask_app.post("/rooms/<room>/messages")
def create(room: str) -> ResponseReturnValue:
    message = request.get_json()
    flask_app.extensions["messages"].append(message)  # save it, and commit
    broadcaster = get_broadcaster(request.environ)
    if broadcaster is not None:  # None: a WSGI server or Flask's test client serves the app alone
        broadcaster.broadcast_to_room(room, "message", message)
    return message, 201


app = RealtimeMiddleware(WSGIMiddleware(flask_app, workers=20), gateways=[Chat()])
