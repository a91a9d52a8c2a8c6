"""The namespaces of a Socket.IO client, on a real server."""

from __future__ import annotations

import asyncio

from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Handshake,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    Unauthorized,
    on,
)
from tests.support.raw_engineio import raw_client
from tests.support.servers import Serve
from tests.support.waiting import until


class Site(SocketIOGateway):
    """The first authentication refuses the client only after a second one has started."""

    def __init__(self) -> None:
        super().__init__("/", authenticator=self.identify)
        self.attempts = 0
        self.waiting = asyncio.Event()
        self.returned = asyncio.Event()
        self.refused = asyncio.Event()
        self.connected = 0

    async def identify(self, handshake: Handshake) -> Identity:
        self.attempts += 1
        if self.attempts == 2:
            self.returned.set()
            await self.refused.wait()
            return Identity(user_id="ann")
        self.waiting.set()
        try:
            await self.returned.wait()
        except asyncio.CancelledError:
            await self.returned.wait()
        asyncio.get_running_loop().call_soon(self.refused.set)
        raise Unauthorized

    async def on_connect(self, connection: Connection) -> None:
        self.connected += 1

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.connected -= 1

    @on("echo")
    async def echo(self, text: str) -> str:
        return text


async def test_a_late_refusal_of_an_earlier_connect_does_not_end_the_next(serve: Serve) -> None:
    site = Site()
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[site], settings=Settings(jwt_secret="s" * 32)))
    async with raw_client(server, "websocket") as client:
        await client.send("0")
        await site.waiting.wait()
        await client.send("1", "0")
        assert (await client.next()).startswith('40{"sid"')
        await client.emit("echo", "a", ack="7")
        assert await client.next() == '437["a"]'
        assert site.connected == 1
    await until(lambda: site.connected == 0)
