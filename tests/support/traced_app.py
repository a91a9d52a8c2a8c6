"""One node of a cluster that traces: `python -m tests.support.traced_app` serves it on a free port.

`POST /say` broadcasts, in a span of the route. `GET /spans` returns the spans of this process that have ended.
`SAMPLER=off` samples none.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os

import uvicorn
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from asgi_realtime import Connection, RealtimeMiddleware, SocketIOGateway, get_broadcaster, on
from tests.support.host_spans import HostSpans
from tests.support.recorded_spans import RecordedSpans

spans = RecordedSpans(ParentBased(ALWAYS_OFF if os.environ.get("SAMPLER") == "off" else ALWAYS_ON))


class Lobby(SocketIOGateway):
    """A room of all clients."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("lobby")

    @on("say")
    async def say(self, text: str) -> None:
        await self.broadcaster.broadcast_to_room("lobby", "said", text)


async def say(request: Request) -> Response:
    broadcaster = await get_broadcaster(request)
    await broadcaster.broadcast_to_room("lobby", "announced", (await request.body()).decode())
    return Response()


async def ended(request: Request) -> Response:
    return JSONResponse([dataclasses.asdict(span) for span in spans.all])


app = HostSpans(
    RealtimeMiddleware(
        Starlette(routes=[Route("/say", say, methods=["POST"]), Route("/spans", ended)]),
        gateways=[Lobby("/")],
        tracing=spans.tracing,
    ),
    spans.tracer,
)

if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.traced_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    uvicorn.run(app, port=0)
