"""Events for several nodes: `python -m tests.support.events_app` serves it on a free port, with the `MEW_*` variables.

`POST /call` calls the broadcaster, and `POST /events-call` the one with the methods of Events.
"""

from __future__ import annotations

import argparse
import logging

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from asgi_realtime import Connection, EventsGateway, Identity, RealtimeMiddleware, get_events_broadcaster, on
from tests.support.call_route import call, calls_to

WATCHERS = "watchers"
"""Clients in this room get `gone`, with the user's id, after a client has left every room."""


class Events(EventsGateway):
    """Everybody may join every room. The host has an event of its own."""

    def __init__(self) -> None:
        super().__init__(disconnected=self.report)

    async def report(self, connection: Connection, reason: str) -> None:
        await self.broadcaster.broadcast_to_room(WATCHERS, "gone", connection.identity.user_id)

    @on("typing")
    async def typing(self, room: str, connection: Connection, identity: Identity) -> None:
        await self.broadcaster.broadcast_to_room(room, "typing", identity.user_id, except_=connection.id, volatile=True)


app = RealtimeMiddleware(
    Starlette(
        routes=[
            Route("/call", call, methods=["POST"]),
            Route("/events-call", calls_to(get_events_broadcaster), methods=["POST"]),
        ]
    ),
    gateways=[Events()],
)

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.events_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(app, port=0)
