"""Which WebSockets are taken over from a stock uvicorn, and that nothing is lost or left behind by it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import FastAPI, WebSocket
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime import Connection, Handshake, Identity, RealtimeMiddleware, Settings, WebSocketGateway, on
from asgi_realtime.uvicorn import WebSocketProtocol
from tests.support.client_frames import CLOSE, PING, TEXT, text
from tests.support.protocol_server import ProtocolServer, protocol_server
from tests.support.raw_websocket import RawWebSocket, connect, open_websocket, request
from tests.support.waiting import until

STOCK = ["websockets-sansio", "wsproto"]
AUTH = text('{"type":"auth","data":{}}')
OFFER = "Sec-WebSocket-Extensions: permessage-deflate\r\n"


class Echo(WebSocketGateway):
    def __init__(self) -> None:
        super().__init__("/echo", authenticator=self.let_in)
        self.left: list[str] = []

    async def let_in(self, handshake: Handshake) -> Identity:
        return Identity(user_id="ann")

    @on("say")
    async def say(self, word: str, connection: Connection) -> None:
        await connection.send("said", word)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append(reason)


class Host:
    """An app with the gateway, a WebSocket route of its own, and a middleware that waits for `go`."""

    def __init__(self, **settings: Any) -> None:
        self.gateway = Echo()
        self.go = asyncio.Event()
        self.go.set()
        app = FastAPI()

        @app.websocket("/own")
        async def own(websocket: WebSocket) -> None:
            await websocket.accept()
            async for message in websocket.iter_text():
                await websocket.send_text(message)

        self.app: ASGIApp = RealtimeMiddleware(app, gateways=[self.gateway], settings=Settings(dev=True, **settings))
        self.arrived = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            self.arrived += 1
            await self.go.wait()
        await self.app(scope, receive, send)


@pytest.fixture(params=STOCK)
def stock(request: pytest.FixtureRequest) -> Any:
    return request.param


@contextlib.asynccontextmanager
async def serving(host: Host, stock: Any, **options: Any) -> AsyncIterator[ProtocolServer]:
    async with protocol_server(host, protocol=stock, **options) as server:
        yield server


def taken(server: ProtocolServer) -> list[bool]:
    """Of each connection, whether it was taken over."""
    return [isinstance(connection, WebSocketProtocol) for connection in server.server_state.connections]


def say(word: str) -> bytes:
    return text(f'{{"type":"say","data":"{word}"}}')


async def enter(client: RawWebSocket) -> None:
    """Let the client in, and see that it is served."""
    await client.send(AUTH + say("end"))
    while b'"end"' not in (await client.next())[1]:
        pass


async def test_only_a_gateways_websockets_are_taken_over(stock: Any) -> None:
    async with serving(Host(), stock) as server:
        async with open_websocket(server.port, "/own") as client:
            assert taken(server) == [False]
            await client.send(text("mine"))
            assert await client.next() == (TEXT, b"mine")
        await until(lambda: not server.server_state.connections)
        async with open_websocket(server.port, "/echo", OFFER) as client:
            assert taken(server) == [True]
            assert b"permessage-deflate" not in client.head
            await enter(client)


async def test_not_if_it_is_turned_off(stock: Any) -> None:
    async with serving(Host(fast_writes=False), stock) as server, open_websocket(server.port, "/echo") as client:
        assert taken(server) == [False]
        await enter(client)


@pytest.mark.parametrize("compression", [None, True, False], ids=["by default", "on", "turned off for uvicorn"])
async def test_compression_is_agreed_if_gateway_and_server_want_it(compression: bool | None) -> None:
    host = Host(compression=compression is not None)
    async with serving(host, STOCK[0], ws_per_message_deflate=compression is not False) as server:
        async with open_websocket(server.port, "/echo", OFFER) as client:
            assert taken(server) == [True]
            assert (b"permessage-deflate" in client.head) is (compression is True)
            await enter(client)


@pytest.mark.parametrize("early", [1, 5, len(AUTH), len(AUTH) + 1, len(AUTH + say("early"))])
async def test_what_a_client_sends_too_early_is_not_lost(early: int) -> None:
    """It must wait for the response. uvicorn keeps what comes before, so the WebSocket stays with uvicorn."""
    host = Host()
    host.go.clear()
    data = AUTH + say("early") + say("end")
    async with serving(host, STOCK[0]) as server, connect(server.port) as client:
        await client.send(request("/echo"))
        await until(lambda: host.arrived)
        protocol: Any = next(iter(server.server_state.connections))
        await client.send(data[:early])
        await until(lambda: protocol.conn.reader.buffer or protocol.queue.qsize() > 1)
        host.go.set()
        await client.read_head()
        assert taken(server) == [False]
        await client.send(data[early:])
        received = [(await client.next())[1] for _ in range(3)]
        assert all(word in data for word, data in zip((b"auth_success", b"early", b"end"), received, strict=True))


async def test_a_client_that_leaves_before_its_turn_leaves_nothing_behind(
    stock: Any, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host()
    host.go.clear()
    async with serving(host, stock) as server:
        async with connect(server.port) as client:
            await client.send(request("/echo"))
            await until(lambda: host.arrived)
            client.vanish()
        await until(lambda: not server.server_state.connections)
        host.go.set()
        await until(lambda: not server.server_state.tasks)
    assert host.gateway.left == []
    assert not [record for record in caplog.records if record.exc_info]


async def test_uvicorns_object_is_freed_at_once(stock: Any) -> None:
    host = Host()
    host.go.clear()
    async with serving(host, stock) as server, connect(server.port) as client:
        await client.send(request("/echo"))
        await until(lambda: host.arrived)
        (protocol,) = server.server_state.connections
        gone, parser = weakref.ref(protocol), weakref.ref(protocol.conn)  # type: ignore[union-attr]
        del protocol
        gc.collect()
        gc.disable()
        try:
            host.go.set()
            await client.read_head()
            await enter(client)
            await until(lambda: not server.server_state.tasks)
            assert gone() is None and parser() is None
        finally:
            gc.enable()


async def test_a_server_that_stops_closes_them_with_1012(stock: Any) -> None:
    async with contextlib.AsyncExitStack() as client_stack:
        async with serving(Host(), stock) as server:
            client = await client_stack.enter_async_context(open_websocket(server.port, "/echo"))
            await enter(client)
        assert [payload[:2] for opcode, payload in await client.rest() if opcode == CLOSE] == [(1012).to_bytes(2)]


async def test_settings_and_headers_of_the_server_apply(stock: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "uvicorn.error")
    options: dict[str, Any] = {"ws_ping_interval": 0.05, "headers": [("x-from", "the host")], "ws_max_size": 300}
    async with serving(Host(), stock, **options) as server:
        async with open_websocket(server.port, "/echo?token=secret") as client:
            assert taken(server) == [True]
            head = client.head.lower()
            assert b"x-from: the host\r\n" in head and b"server: uvicorn\r\n" in head and b"date: " in head
            while (await client.next())[0] != PING:
                pass
            await client.send(say("x" * 301))
            assert (await client.rest())[-1] == (CLOSE, (1009).to_bytes(2) + b"a message of over 300 bytes")
    accepted = [record.getMessage() for record in caplog.records if "[accepted]" in record.getMessage()]
    assert len(accepted) == 1 and "/echo" in accepted[0] and "secret" not in accepted[0]
