"""One process of the measured app: `python -m benchmarks.console.app PORT`."""

from __future__ import annotations

import argparse
import itertools

import uvicorn
from starlette.applications import Starlette

from asgi_realtime import Connection, Handshake, Identity, RealtimeConsole, RealtimeMiddleware, WebSocketGateway
from asgi_realtime.uvicorn import WebSocketProtocol

SECRET = "the secret of the measured console"
ROOMS = 500
"""Rooms that the clients are spread over."""


class Clients(WebSocketGateway):
    """Every client is a user of its own, in two rooms."""

    numbers = itertools.count()

    async def on_connect(self, connection: Connection) -> None:
        """Join a room of all, and one of some."""
        await connection.join("all")
        await connection.join(f"room {next(self.numbers) % ROOMS}")


async def named(handshake: Handshake) -> Identity:
    """The client says who it is."""
    return Identity(user_id=handshake.query["user"])


def main() -> None:
    """Serve it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.console.app", description=__doc__)
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    clients = Clients("/clients", authenticator=named, auth_frame=False)
    app = RealtimeMiddleware(Starlette(), gateways=[clients, RealtimeConsole(secret=SECRET)])
    uvicorn.run(app, port=options.port, ws=WebSocketProtocol, ws_ping_interval=None, log_level="warning")


if __name__ == "__main__":
    main()
