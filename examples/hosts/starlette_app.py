from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Route

from asgi_realtime import Connection, RealtimeMiddleware, SocketIOGateway, get_broadcaster, on


class Chat(SocketIOGateway):
    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    app.state.messages = []  # open your database here
    yield
    app.state.messages.clear()


async def page(request: Request) -> Response:
    return FileResponse(Path(__file__).with_name("index.html"))


async def create(request: Request) -> Response:
    message = await request.json()
    request.app.state.messages.append(message)  # save it, and commit
    broadcaster = await get_broadcaster(request)
    await broadcaster.broadcast_to_room(request.path_params["room"], "message", message)
    return JSONResponse(message, status_code=201)


routes = [Route("/", page), Route("/rooms/{room}/messages", create, methods=["POST"])]
app = Starlette(routes=routes, lifespan=lifespan)
app.add_middleware(RealtimeMiddleware, gateways=[Chat()])
