"""Clients whose connection was reset while the server writes to them."""

from __future__ import annotations

import asyncio
import logging

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, Handshake, Identity, RealtimeMiddleware, Settings, SocketIOGateway
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.stalled_clients import stalled_client

EVENTS = 100


class Site(SocketIOGateway):
    """Accepts every client, and keeps its connection."""

    def __init__(self) -> None:
        super().__init__("/", authenticator=self.identify)
        self.connection: Connection
        self.ended = asyncio.Event()

    async def identify(self, handshake: Handshake) -> Identity:
        return Identity(user_id="ann")

    async def on_connect(self, connection: Connection) -> None:
        self.connection = connection

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.ended.set()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_writing_to_a_reset_connection_logs_nothing(
    serve: Serve, implementation: Implementation, caplog: pytest.LogCaptureFixture
) -> None:
    site = Site()
    app = RealtimeMiddleware(Starlette(), gateways=[site], settings=Settings(jwt_secret="s" * 32))
    server = await serve(app, implementation)
    async with stalled_client(server, "ann") as client:
        with caplog.at_level(logging.WARNING):
            client.reset()
            for number in range(EVENTS):  # no await, so the event loop cannot notice the reset
                await site.connection.send("news", number)
            await site.ended.wait()
    assert caplog.messages.count("socket.send() raised exception.") == 0
