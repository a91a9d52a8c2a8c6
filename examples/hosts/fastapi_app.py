from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated

from fastapi import Depends, FastAPI
from fastapi.responses import FileResponse
from pydantic import BaseModel

from asgi_realtime import Broadcaster, Connection, RealtimeMiddleware, SocketIOGateway, get_broadcaster, on


class Message(BaseModel):
    text: str


class Chat(SocketIOGateway):
    @on("join")
    async def join_room(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return f"welcome, {connection.identity.user_id}"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    app.state.messages = []  # open your database here
    yield
    app.state.messages.clear()


app = FastAPI(lifespan=lifespan)
app.add_middleware(RealtimeMiddleware, gateways=[Chat()])


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("index.html"))


@app.post("/rooms/{room}/messages", status_code=201)
async def create(room: str, message: Message, broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> Message:
    app.state.messages.append(message)  # save it, and commit
    await broadcaster.broadcast_to_room(room, "message", message)
    return message
