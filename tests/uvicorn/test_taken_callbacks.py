"""Gateways on a stock uvicorn: messages come by callback, in order, with back-pressure and to their end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import AsyncIterator
from types import CoroutineType
from typing import Any

import msgspec
import pytest
from fastapi import FastAPI

from asgi_realtime import Connection, Limits, RealtimeMiddleware, Settings, WebSocketGateway, create_token, on
from tests.support.client_frames import CLOSE, TEXT, text
from tests.support.protocol_server import ProtocolServer, protocol_server
from tests.support.raw_websocket import RawWebSocket, open_websocket
from tests.support.waiting import until

SETTINGS = Settings(
    jwt_secret="a-secret-that-is-long-enough-for-tests",
    limits=Limits(event_rate=1e6, event_burst=1_000_000, user_event_rate=1e6, user_event_burst=1_000_000),
)


class Echo(WebSocketGateway):
    def __init__(self) -> None:
        super().__init__("/echo")
        self.released = asyncio.Event()
        self.begun = 0
        self.here: list[Connection] = []
        self.left: list[str] = []

    async def on_connect(self, connection: Connection) -> None:
        self.here.append(connection)

    @on("say")
    async def say(self, number: int, connection: Connection) -> None:
        await connection.send("said", number)

    @on("wait")
    async def wait(self, number: int, connection: Connection) -> None:
        self.begun += 1
        await self.released.wait()
        await connection.send("said", number)

    @on("leave")
    async def leave_us(self, connection: Connection) -> None:
        await connection.close(4000, "bye")

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append(reason)


@pytest.fixture
def gateway() -> Echo:
    return Echo()


@pytest.fixture(params=["websockets-sansio", "wsproto"])
async def server(gateway: Echo, request: pytest.FixtureRequest) -> AsyncIterator[ProtocolServer]:
    middleware = RealtimeMiddleware(FastAPI(), gateways=[gateway], settings=SETTINGS)
    protocol: Any = request.param
    async with protocol_server(middleware, protocol=protocol) as server:
        yield server


async def enter(client: RawWebSocket) -> None:
    await client.send(text(f'{{"type":"auth","data":{{"token":"{create_token("ann", SETTINGS)}"}}}}'))
    assert b"auth_success" in (await client.next())[1]


def events(name: str, numbers: range, padding: int = 0) -> bytes:
    return b"".join(text(f'{{"type":"{name}","data":{number}}}{" " * padding}') for number in numbers)


async def numbers(client: RawWebSocket, count: int) -> list[int]:
    found = []
    for _ in range(count):
        opcode, payload = await client.next()
        assert opcode == TEXT
        found.append(msgspec.json.decode(payload)["data"])
    return found


def waiting_coroutines() -> set[str]:
    """The coroutines of this package that wait for something."""
    return {
        each.__qualname__
        for each in gc.get_objects()
        if type(each) is CoroutineType and each.cr_frame is not None and "asgi_realtime" in each.cr_code.co_filename
    }


READING = {"WebSocketEndpoint.__call__", "WebSocketCarrier.serve", "WebSocketCarrier._read", "Interrupt.run"}


async def test_no_coroutine_reads_for_a_client_that_was_let_in(server: ProtocolServer) -> None:
    async with open_websocket(server.port, "/echo") as client:
        assert READING <= waiting_coroutines()  # it waits for the token
        assert server.server_state.tasks
        await enter(client)
        assert await sent_and_answered(client) == [7]
        assert not READING & waiting_coroutines()
        assert not server.server_state.tasks


async def sent_and_answered(client: RawWebSocket) -> list[int]:
    await client.send(events("say", range(7, 8)))
    return await numbers(client, 1)


@pytest.mark.parametrize("piece", [None, 1_000, 50_000])
async def test_many_messages_are_answered_in_order(server: ProtocolServer, piece: int | None) -> None:
    async with open_websocket(server.port, "/echo") as client:
        await enter(client)
        sending = asyncio.create_task(client.send(events("say", range(10_000)), piece=piece))
        assert await numbers(client, 10_000) == list(range(10_000))
        await sending
        assert await sent_and_answered(client) == [7]


async def test_a_client_that_is_not_read_can_be_closed(server: ProtocolServer, gateway: Echo) -> None:
    """Its answer to the close is behind what the server has not parsed yet."""
    async with open_websocket(server.port, "/echo") as client:
        await enter(client)
        await client.send(events("wait", range(1_000)), piece=2_000)
        await until(lambda: gateway.begun)
        await gateway.here[0].close(4000, "bye")
        assert await client.rest() == [(CLOSE, (4000).to_bytes(2) + b"bye")]
    gateway.released.set()  # else the server would wait for the handler when it stops


async def test_a_client_is_not_read_while_its_handlers_wait(server: ProtocolServer, gateway: Echo) -> None:
    async with open_websocket(server.port, "/echo") as client, open_websocket(server.port, "/echo") as other:
        await enter(client)
        await enter(other)
        sending = asyncio.create_task(client.send(events("wait", range(1_000), padding=20_000)))
        await until(lambda: gateway.begun)
        for _ in range(20):
            assert await sent_and_answered(other) == [7]
        assert not sending.done()  # more than the kernel's buffers hold
        gateway.released.set()
        assert await numbers(client, 1_000) == list(range(1_000))
        await sending
        assert await sent_and_answered(client) == [7]


@pytest.mark.parametrize("end", ["client closes", "client vanishes", "gateway closes"])
async def test_the_server_forgets_a_client_that_has_left(server: ProtocolServer, gateway: Echo, end: str) -> None:
    async with open_websocket(server.port, "/echo") as client:
        await enter(client)
        assert len(server.server_state.connections) == 1
        if end == "client closes":
            await client.send(text('{"type":"say","data":1}') + bytes([0x88, 0x82, 0, 0, 0, 0, 0x03, 0xE8]))
            assert [opcode for opcode, _ in await client.rest()] == [TEXT, CLOSE]
        elif end == "client vanishes":
            client.vanish()
        else:
            await client.send(text('{"type":"leave"}'))
            assert (await client.rest())[-1] == (CLOSE, (4000).to_bytes(2) + b"bye")
        await until(lambda: gateway.left)
        await until(lambda: not server.server_state.connections)
    assert gateway.left == ["forced close" if end == "gateway closes" else "transport close"]
