"""Connections on the protocol class: no coroutine runs for an idle connection, and behaviour is otherwise the same."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from asgi_realtime import (
    Connection,
    Handshake,
    Identity,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
)
from asgi_realtime.connection.connection import internal
from asgi_realtime.values.ids import UserId
from tests.support.servers import Serve
from tests.support.waiting import until

both_dialects = pytest.mark.parametrize("dialect", ["json", "socketio"])
LIMITS = Limits(events_in_flight=4)


async def accept_all(handshake: Handshake) -> Identity:
    return Identity(user_id=UserId("ann"))


class Handlers:
    """The handlers of both gateways."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.tasks: set[Any] = set()
        self.reasons: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def count(self, number: int, connection: Connection) -> None:
        async with asyncio.timeout(10):  # uses the current task
            self.tasks.add(asyncio.current_task())
            if not self.gate.is_set():
                await self.gate.wait()
        self.seen.append(number)
        await connection.send("counted", number)


class JSONRoom(WebSocketGateway):
    def __init__(self, handlers: Handlers) -> None:
        super().__init__("/room", authenticator=accept_all, limits=LIMITS)
        self.on("count")(handlers.count)
        self.handlers = handlers

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.handlers.reasons.append(reason)


class SocketIORoom(SocketIOGateway):
    def __init__(self, handlers: Handlers) -> None:
        super().__init__("/", authenticator=accept_all, limits=LIMITS)
        self.on("count")(handlers.count)
        self.handlers = handlers

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.handlers.reasons.append(reason)


class App:
    """The middleware, with a count of its running coroutines."""

    def __init__(self, dialect: str) -> None:
        self.handlers = Handlers()
        gateway = JSONRoom(self.handlers) if dialect == "json" else SocketIORoom(self.handlers)
        self.middleware = RealtimeMiddleware(self._host, gateways=[gateway], settings=Settings(limits=LIMITS))
        self.running = 0
        self.dialect = dialect
        self.gateway = gateway

    async def _host(self, scope: Scope, receive: Receive, send: Send) -> None:
        pass

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        counted = scope["type"] == "websocket"
        self.running += counted
        try:
            await self.middleware(scope, receive, send)
        finally:
            self.running -= counted

    async def enter(self, url: str) -> ClientConnection:
        """An accepted client."""
        path = "/room" if self.dialect == "json" else "/socket.io/?EIO=4&transport=websocket"
        client = await connect(url + path)
        await client.send('{"type":"auth","data":{}}' if self.dialect == "json" else "40{}")
        while "auth_success" not in (text := str(await client.recv())) and not text.startswith("40"):
            pass
        return client

    def event(self, number: int) -> str:
        return f'{{"type":"count","data":{number}}}' if self.dialect == "json" else f'42["count",{number}]'

    @property
    def connection(self) -> Connection:
        (connection,) = self.middleware.realtime.hub.rooms(self.gateway.name).everybody
        return connection.public


@both_dialects
async def test_an_idle_connection_owns_no_coroutine_and_no_task(serve: Serve, dialect: str) -> None:
    app = App(dialect)
    server = await serve(app, "WebSocketProtocol")
    async with await app.enter(server.websocket_url) as client:
        await until(lambda: app.running == 0)
        await client.send(app.event(1))
        assert "counted" in str(await client.recv())
        await until(lambda: not len(app.middleware.realtime.tasks))
        assert app.running == 0
        await app.connection.send("more")
        assert "more" in str(await client.recv())
    await until(lambda: app.handlers.reasons == ["transport close"])
    assert None not in app.handlers.tasks


@both_dialects
async def test_no_more_is_read_than_may_be_in_flight(serve: Serve, dialect: str) -> None:
    app = App(dialect)
    server = await serve(app, "WebSocketProtocol")
    async with await app.enter(server.websocket_url) as client:
        app.handlers.gate.clear()
        for number in range(100):
            await client.send(app.event(number))
        await until(lambda: internal(app.connection).inbox.full)
        assert app.handlers.seen == []
        app.handlers.gate.set()
        for number in range(100):
            assert await client.recv() == app.event(number).replace("count", "counted")
        assert app.handlers.seen == list(range(100))


@both_dialects
async def test_a_close_comes_after_what_was_sent(serve: Serve, dialect: str) -> None:
    app = App(dialect)
    server = await serve(app, "WebSocketProtocol")
    async with await app.enter(server.websocket_url) as client:
        for _ in range(50):
            await app.connection.send("event", "x" * 10_000)
        await app.connection.close(4001, "out")
        for _ in range(50):
            assert "xxx" in str(await client.recv())
        with pytest.raises(ConnectionClosed):
            await client.recv()
        assert (client.close_code, client.close_reason) == (4001, "out")
    await until(lambda: len(app.handlers.reasons) == 1)
    assert app.handlers.reasons[0] in ("forced close", "server disconnect")


@both_dialects
async def test_a_client_that_vanishes_while_reading_is_paused_leaves_nothing_behind(serve: Serve, dialect: str) -> None:
    app = App(dialect)
    server = await serve(app, "WebSocketProtocol")
    client = await app.enter(server.websocket_url)
    app.handlers.gate.clear()
    for number in range(10):
        await client.send(app.event(number))
    await until(lambda: internal(app.connection).inbox.full)
    client.transport.abort()
    app.handlers.gate.set()
    await until(lambda: app.handlers.reasons == ["transport close"])
    assert app.handlers.seen == list(range(len(app.handlers.seen)))
    await until(lambda: not len(app.middleware.realtime.tasks))
