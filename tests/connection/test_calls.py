"""A handler that awaits an acknowledgement of its client gets it, with any number of queued events of that client."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Handshake,
    Identity,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SyncConnection,
    on,
)
from asgi_realtime.connection.connection import internal
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.values.ids import UserId
from asgi_realtime.values.json import Json
from tests.support.attackers import numbers
from tests.support.node_client import Node
from tests.support.raw_engineio import TRANSPORTS, RawClient, TransportName, raw_client, receive_json
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import until

MOVES = 300
LIMITS = Limits(event_burst=100_000, user_event_burst=100_000, events_behind_call=10_000)


async def accept_all(handshake: Handshake) -> Identity:
    return Identity(user_id=UserId("ann"))


class Board(SocketIOGateway):
    """`delete` calls the client first. Later `move` events are queued during the call."""

    def __init__(self, namespace: str = "/") -> None:
        super().__init__(namespace, authenticator=accept_all)
        self.moved: list[Json] = []
        self.answers: list[Json] = []
        self.held = asyncio.Event()
        self.go = asyncio.Event()
        self.connections: list[Connection] = []

    async def on_connect(self, connection: Connection) -> None:
        self.connections.append(connection)

    @on("ask")
    async def ask(self, connection: Connection) -> Json:
        return await connection.call("sure?")

    @on("ask in a thread")
    def ask_in_a_thread(self, connection: SyncConnection) -> Json:
        return connection.call("sure?")

    @on("ask twice")
    async def ask_twice(self, connection: Connection) -> Json:
        first, second = await asyncio.gather(connection.call("sure?"), connection.call("sure?"))
        return first if first == second else None

    @on("ask in vain")
    async def ask_in_vain(self, connection: Connection) -> None:
        with pytest.raises(TimeoutError):
            await connection.call("sure?", timeout=0.1)
        self.held.set()
        await self.go.wait()

    @on("hold")
    async def hold(self) -> None:
        self.held.set()
        await self.go.wait()

    @on("move")
    async def move(self, number: Json, *more: Json) -> None:
        self.moved.append(number)


def python_socketio() -> SocketIOServer:
    sio = SocketIOServer(namespaces=["/sio"])

    @sio.on("sio.call", namespace="/sio")
    async def call(sid: str) -> Json:
        return await sio.call("sure?", to=sid, namespace="/sio")

    @sio.on("sio.emit", namespace="/sio")
    async def emit(sid: str) -> Json:
        answer = asyncio.get_running_loop().create_future()
        await sio.emit("sure?", to=sid, namespace="/sio", callback=answer.set_result)
        return await answer

    @sio.on("move", namespace="/sio")
    async def move(sid: str, number: Json) -> None: ...

    return sio


@asynccontextmanager
async def playing(
    serve: Serve, implementation: Implementation, transport: TransportName, limits: Limits = LIMITS
) -> AsyncIterator[tuple[Board, Board, RawClient]]:
    board, other = Board(), Board("/other")
    settings = Settings(limits=limits)
    app = RealtimeMiddleware(Starlette(), gateways=[board, other, python_socketio()], settings=settings)
    server = await serve(app, implementation)
    async with raw_client(server, transport) as client:
        for namespace in ("", "/other,", "/sio,"):
            await client.send(f"0{namespace}")
            await receive_json(client, f"0{namespace}")
        yield board, other, client


def moves(count: int = MOVES, namespace: str = "") -> list[str]:
    return [f'2{namespace}["move",{number}]' for number in range(count)]


async def question(client: RawClient, namespace: str = "") -> str:
    """The ack id of the next call."""
    text = str(await client.receive())
    assert text.startswith(f"2{namespace}") and text.endswith('["sure?"]'), text
    return text[1 + len(namespace) : -len('["sure?"]')]


SERVED = [
    (implementation, transport)
    for transport in TRANSPORTS
    for implementation in IMPLEMENTATIONS
    if transport == "websocket" or implementation in ("uvicorn", "hypercorn")
]
everywhere = pytest.mark.parametrize(("implementation", "transport"), SERVED)


@pytest.mark.parametrize("way", ["ask", "ask in a thread", "ask twice", "sio.call", "sio.emit"])
@everywhere
async def test_an_acknowledgement_that_arrives_after_many_events_is_received(
    serve: Serve, implementation: Implementation, transport: TransportName, way: str
) -> None:
    async with playing(serve, implementation, transport) as (board, _, client):
        namespace = "/sio," if way.startswith("sio") else ""
        await client.send(f'2{namespace}7["{way}"]', *moves(namespace=namespace))
        questions = [await question(client, namespace) for _ in range(2 if way == "ask twice" else 1)]
        assert board.moved == []
        for number in questions:
            await client.send(f'3{namespace}{number}["yes"]')
        assert await receive_json(client, f"3{namespace}7") == ["yes"]
        if not namespace:
            await until(lambda: len(board.moved) == MOVES)
            assert board.moved == list(range(MOVES))


@pytest.mark.parametrize("asked", ["the same namespace", "another namespace"])
@everywhere
async def test_a_call_made_while_reading_is_paused_gets_its_acknowledgement(
    serve: Serve, implementation: Implementation, transport: TransportName, asked: str
) -> None:
    async with playing(serve, implementation, transport) as (board, other, client):
        sending = asyncio.create_task(client.send('2["hold"]', *moves()))
        async with asyncio.timeout(5):
            await board.held.wait()
        await until(lambda: internal(board.connections[0]).inbox.full)
        target, namespace = (board, "") if asked == "the same namespace" else (other, "/other,")
        asking = asyncio.create_task(target.connections[0].call("sure?"))
        number = await question(client, namespace)
        await sending
        await client.send(f'3{namespace}{number}["yes"]')
        assert await asking == "yes"
        assert board.moved == []
        board.go.set()
        await until(lambda: len(board.moved) == MOVES)
        assert board.moved == list(range(MOVES))


@everywhere
async def test_an_acknowledgement_may_have_attachments(
    serve: Serve, implementation: Implementation, transport: TransportName
) -> None:
    async with playing(serve, implementation, transport) as (board, _, client):
        await client.send('27["ask"]', *moves())
        number = await question(client)
        await client.send(f'61-{number}[{{"_placeholder":true,"num":0}}]', b"yes")
        assert await client.receive() == '61-7[{"_placeholder":true,"num":0}]'
        assert await client.receive() == b"yes"
        await until(lambda: len(board.moved) == MOVES)


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_the_stock_client_acknowledges_a_call(serve: Serve, node: Node, transports: list[str]) -> None:
    board = Board()
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[board], settings=Settings()))
    client = await node.connect(server.url, transports=transports)
    await client.answer("sure?", "yes")
    asking = asyncio.create_task(client.call("ask"))
    for number in range(MOVES):
        await client.emit("move", number)
    assert await asking == ["yes"]
    await until(lambda: len(board.moved) == MOVES)
    assert board.moved == list(range(MOVES))


# Bounds


@everywhere
async def test_the_events_queued_during_a_call_are_bounded(
    serve: Serve, implementation: Implementation, transport: TransportName
) -> None:
    limits = Limits(events_in_flight=4, events_behind_call=8)
    async with playing(serve, implementation, transport, limits) as (board, _, client):
        events = [f'2{100 + number}["move",{number}]' for number in range(40)]
        await client.send('27["ask"]', *events)
        number = await question(client)
        refused = '[{"success":false,"code":"RATE_LIMITED","message":"too many events wait"}]'
        assert [await client.receive() for _ in range(28)] == [f"3{100 + late}{refused}" for late in range(12, 40)]
        await client.send(f'3{number}["yes"]')
        assert await receive_json(client, "37") == ["yes"]
        assert [await client.receive() for _ in range(12)] == [f"3{100 + early}[]" for early in range(12)]
        assert board.moved == list(range(12))
        # Once more: events that were handled no longer count.
        await client.send('28["ask"]', *events[:12])
        await client.send(f'3{await question(client)}["yes"]')
        assert await receive_json(client, "38") == ["yes"]
        await until(lambda: len(board.moved) == 24)


@pytest.mark.parametrize("binary", [False, True])
@everywhere
async def test_the_bytes_queued_during_a_call_are_bounded(
    serve: Serve, implementation: Implementation, transport: TransportName, binary: bool
) -> None:
    limits = Limits(events_in_flight=2, message_bytes=10_000)
    async with playing(serve, implementation, transport, limits) as (board, _, client):
        await client.send('27["ask"]')
        number = await question(client)
        for late in range(9):
            if binary:
                places = '{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}'
                await client.send(f'52-["move",{late},{places}]', b"x" * 2_900, b"y")
            else:
                await client.send(f'2["move",{late},{json.dumps("x" * 2_900)}]')
        for _ in range(4):
            assert "RATE_LIMITED" in str(await client.receive())
        await client.send(f'3{number}["yes"]')
        assert await receive_json(client, "37") == ["yes"]
        await until(lambda: len(board.moved) == 5)
        assert board.moved == list(range(5))


@everywhere
async def test_reading_pauses_again_after_a_call_without_an_acknowledgement(
    serve: Serve, implementation: Implementation, transport: TransportName
) -> None:
    limits = Limits(events_in_flight=4, event_burst=100_000, user_event_burst=100_000)
    async with playing(serve, implementation, transport, limits) as (board, other, client):
        await client.send('2["ask in vain"]')
        await question(client)
        async with asyncio.timeout(5):
            await board.held.wait()
        sending = asyncio.create_task(client.send(*moves()))
        await until(lambda: internal(board.connections[0]).inbox.full)
        for _ in range(20):
            await asyncio.sleep(0)
            assert internal(board.connections[0]).inbox.waiting <= 4
        board.go.set()
        await sending
        await until(lambda: len(board.moved) == MOVES)
        assert board.moved == list(range(MOVES))


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_other_clients_are_served_during_a_call(serve: Serve, transport: TransportName) -> None:
    board = Board()
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[board], settings=Settings(limits=LIMITS)))
    async with raw_client(server, transport) as asked, raw_client(server, transport) as another:
        for client in (asked, another):
            await client.send("0")
            await receive_json(client, "0")
        await asked.send('27["ask"]', *moves())
        number = await question(asked)
        await another.send('28["move",1]')
        assert await another.receive() == "38[]"
        await board.broadcaster.broadcast_to_all("count", [1])
        assert await numbers(asked, 1) == await numbers(another, 1) == [1]
        await asked.send(f'3{number}["yes"]')
        assert await receive_json(asked, "37") == ["yes"]


async def test_a_call_to_an_unconnected_client_sends_nothing(serve: Serve) -> None:
    caught: dict[str, str] = {}

    class Early(Board):
        async def on_connect(self, connection: Connection) -> None:
            caught["on_connect"] = await _asked(connection)

        async def on_disconnect(self, connection: Connection, reason: str) -> None:
            caught["on_disconnect"] = await _asked(connection)

    async with raw_client(await serve(RealtimeMiddleware(Starlette(), gateways=[Early()])), "websocket") as client:
        await client.send("0")
        await receive_json(client, "0")
        await client.send("1")
        await until(lambda: len(caught) == 2)
    assert "after on_connect has returned" in caught["on_connect"] and "gone" in caught["on_disconnect"]


async def _asked(connection: Connection) -> str:
    with pytest.raises(ConnectionError) as error:
        await connection.call("sure?", timeout=1_000)
    return str(error.value)


@pytest.mark.parametrize("event", ["ask", "ask in a thread"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_disconnects_during_a_call_is_not_an_error(
    transport: TransportName, event: str, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "asgi_realtime")
    async with raw_client(await serve(RealtimeMiddleware(Starlette(), gateways=[Board()])), transport) as client:
        await client.send("0")
        await receive_json(client, "0")
        await client.send(f'2["{event}"]')
        await receive_json(client, "20")
        await client.send("1")
        await until(lambda: f"/: {event} ended early: the client has gone" in caplog.messages)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("timeout", [None, "5", True])
async def test_a_call_timeout_must_be_a_number_of_seconds(timeout: Any) -> None:
    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[(board := Board())])) as client:
        async with client.connect("/"):
            with pytest.raises(TypeError, match=r"call\(\): timeout must be a number of seconds"):
                await board.connections[0].call("sure?", timeout=timeout)


async def test_the_timeout_error_of_a_call_names_the_event() -> None:
    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[(board := Board())])) as client:
        async with client.connect("/"):
            with pytest.raises(TimeoutError, match=r"no acknowledgement of 'sure\?' within 0 s"):
                await board.connections[0].call("sure?", timeout=0)


async def test_a_call_that_is_too_much_for_a_slow_client_fails_at_once(serve: Serve) -> None:
    board = Board()
    settings = Settings(jwt_secret="s" * 32, limits=Limits(outbox_bytes=10_000))
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[board], settings=settings))
    async with raw_client(server, "polling") as client:
        await client.connect()
        [connection] = board.connections
        await connection.send("news", "x" * 6_000)
        with pytest.raises(ConnectionError):
            await connection.call("sure?", "x" * 6_000, timeout=2)
        assert connection.closed
