"""One node of several behind one port: `PORT` is shared by all nodes, and each has a port of its own too.

Its output ends with the longest time that its event loop was late, and the most processor time that it used between two
looks. On a busy machine, only the latter says something about the process.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import os
import socket
import time
from collections.abc import AsyncIterator

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Route

from asgi_realtime import Connection, RealtimeMiddleware, WebSocketGateway
from tests.support.call_route import call
from tests.support.cluster_app import Rooms

LOOKS = 0.01
"""Seconds between two looks at the event loop."""


class Followers(WebSocketGateway):
    """All clients are in one room."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("news")


class Server(uvicorn.Server):
    """A server that writes where it listens in the form that tests read."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        assert sockets is not None
        print(f"running on http://127.0.0.1:{sockets[0].getsockname()[1]}", flush=True)


@contextlib.asynccontextmanager
async def watched(app: Starlette) -> AsyncIterator[None]:
    """Measure how late the event loop is, until the app stops."""
    watching = asyncio.create_task(_watch())
    yield
    watching.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await watching


async def _watch() -> None:
    loop = asyncio.get_running_loop()
    most = busiest = 0.0
    try:
        while True:
            due, used = loop.time() + LOOKS, time.process_time()
            await asyncio.sleep(LOOKS)
            most = max(most, loop.time() - due)
            busiest = max(busiest, time.process_time() - used)
    finally:
        print(f"late by {most:.3f} s, busy for {busiest:.3f} s", flush=True)


app = RealtimeMiddleware(
    Starlette(routes=[Route("/call", call, methods=["POST"])], lifespan=watched),
    gateways=[Rooms("/"), Followers("/ws")],
)


def shared_port(number: int) -> socket.socket:
    """A socket of a port that several processes listen on. 0: a free port."""
    found = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    found.bind(("127.0.0.1", number))
    return found


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m tests.support.rolling_app", description=__doc__).parse_args()
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    Server(uvicorn.Config(app, access_log=False)).run([shared_port(0), shared_port(int(os.environ["PORT"]))])
