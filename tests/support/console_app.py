"""An app with a console: `python -m tests.support.console_app` serves it on a free port, with the variables given."""

from __future__ import annotations

import argparse
import logging

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_realtime import Connection, RealtimeConsole, RealtimeMiddleware, Settings, SocketIOGateway, on

JWT_SECRET = "a secret for clusters that is long enough"
CONSOLE_SECRET = "an operator's secret: ümläuts & spaces"
SETTINGS = Settings(jwt_secret=JWT_SECRET, console_secret=CONSOLE_SECRET, presence_grace=0.1)


class Board(SocketIOGateway):
    """Clients join rooms themselves."""

    @on("join")
    async def join(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return connection.id


async def home(request: Request) -> PlainTextResponse:
    return PlainTextResponse("the host's page")


def create_app(settings: Settings | None = None, console: RealtimeConsole | None = None) -> RealtimeMiddleware:
    """Make the app. Each has its own gateways."""
    app = Starlette(routes=[Route("/{path:path}", home, methods=["GET", "POST"])])
    return RealtimeMiddleware(app, gateways=[Board("/"), console or RealtimeConsole()], settings=settings)


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.console_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(create_app(), port=0)
