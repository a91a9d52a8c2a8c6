"""`sys.exit()` in host code, and a `CancelledError` of its own, end one call, and no other client's connection."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, NoReturn

import pytest
from starlette.applications import Starlette
from websockets.asyncio.client import connect

from asgi_realtime import (
    CallNext,
    ClientEvent,
    Connection,
    Depends,
    RealtimeMiddleware,
    SocketIOGateway,
    SyncConnection,
    WebSocketGateway,
    create_token,
)
from tests.support.host_exits import INTERNAL, SETTINGS, cancelled, leave, two
from tests.support.servers import Serve


class Dependencies:
    """What the handlers of a gateway depend on. They end by `leave`."""

    def __init__(self, leave: Callable[[], NoReturn]) -> None:
        self.leave = leave

    def plain(self) -> None:
        self.leave()

    async def coroutine(self) -> None:
        self.leave()

    def plain_end(self) -> Iterator[None]:
        yield
        self.leave()

    async def coroutine_end(self) -> AsyncIterator[None]:
        yield
        self.leave()


def gateway_of(leave: Callable[[], NoReturn]) -> SocketIOGateway:
    gateway = SocketIOGateway("/")
    depends = Dependencies(leave)

    @gateway.on("echo")
    async def echo(text: str) -> str:
        return text

    @gateway.on("plain")
    def plain() -> None:
        leave()

    @gateway.on("at once")
    async def at_once() -> None:
        leave()

    @gateway.on("later")
    async def later() -> None:
        await asyncio.sleep(0)  # it waits once: what it raises then takes another way
        leave()

    @gateway.on("at once, long")
    async def at_once_long(text: str) -> None:
        leave()

    @gateway.on("later, long")
    async def later_long(text: str) -> None:
        await asyncio.sleep(0)  # it waits once: what it raises then takes another way
        leave()

    in_a_thread = gateway.host_call(leave, "leave")

    @gateway.on("plain in a task")
    async def plain_in_a_task() -> None:
        await asyncio.gather(in_a_thread())

    @gateway.on("guarded")
    async def guarded() -> None:
        """The guard leaves."""

    @gateway.on("wrapped")
    async def wrapped() -> None:
        """The wrapper leaves."""

    @gateway.on("depends on plain")
    async def depends_on_plain(value: None = Depends(depends.plain)) -> None:
        """The dependency leaves."""

    @gateway.on("depends on coroutine")
    async def depends_on_coroutine(value: None = Depends(depends.coroutine)) -> None:
        """The dependency leaves."""

    @gateway.on("plain end")
    async def plain_end(value: None = Depends(depends.plain_end)) -> None:
        """The dependency leaves when this has ended."""

    @gateway.on("coroutine end")
    async def coroutine_end(value: None = Depends(depends.coroutine_end)) -> None:
        """The dependency leaves when this has ended."""

    async def allowed() -> bool:
        leave()

    @gateway.on("plain join, plain check")
    def plain_join_plain(connection: SyncConnection) -> None:
        connection.join("tea", allowed=leave)

    @gateway.on("plain join, async check")
    def plain_join_async(connection: SyncConnection) -> None:
        connection.join("tea", allowed=allowed)

    @gateway.on("async join, plain check")
    async def async_join_plain(connection: Connection) -> None:
        await connection.join("tea", allowed=leave)

    @gateway.on("async join, async check")
    async def async_join_async(connection: Connection) -> None:
        await connection.join("tea", allowed=allowed)

    def guard(event: ClientEvent) -> None:
        if event.name == "guarded":
            leave()

    async def wrap(event: ClientEvent, call_next: CallNext) -> Any:
        result = await call_next(event)
        if event.name == "wrapped":
            leave()
        return result

    gateway.use(guard)
    gateway.use(wrap)
    return gateway


EVENTS = sorted(gateway_of(leave).functions.keys() - {"echo", "auth/refresh", "at once, long", "later, long"})


@pytest.mark.parametrize("how", [leave, cancelled])
@pytest.mark.parametrize("event", EVENTS)
async def test_an_event_is_answered(event: str, how: Callable[[], NoReturn], caplog: pytest.LogCaptureFixture) -> None:
    async with two(gateway_of(how)) as (_, ann, bob):
        assert await ann.call(event) == INTERNAL
        assert await ann.call("echo", "tea") == "tea"
    assert caplog.text.count(f"/: {event} failed: ") == 1
    assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 1


@pytest.mark.parametrize("how", [leave, cancelled])
@pytest.mark.parametrize("event", ["at once, long", "later, long"])
async def test_a_long_event_is_answered(event: str, how: Callable[[], NoReturn]) -> None:
    async with two(gateway_of(how)) as (_, ann, bob):
        assert await ann.call(event, "x" * 2_000) == INTERNAL
        assert await ann.call("echo", "tea") == "tea"


@pytest.mark.parametrize("how", [leave, cancelled])
async def test_an_event_without_an_acknowledgement_is_answered(how: Callable[[], NoReturn]) -> None:
    gateway = WebSocketGateway("/ws")

    @gateway.on("go")
    async def go() -> None:
        how()

    @gateway.on("go later")
    async def go_later() -> None:
        await asyncio.sleep(0)  # it waits once: what it raises then takes another way
        how()

    async with two(gateway) as (_, ann, bob):
        for event in ("go", "go later"):
            await ann.send(event)
            assert (await ann.expect("error")).data["code"] == "INTERNAL"


@pytest.mark.parametrize("how", [leave, cancelled])
async def test_a_plain_event_is_answered(how: Callable[[], NoReturn], serve: Serve) -> None:
    gateway = WebSocketGateway("/ws")

    @gateway.on("go")
    async def go(number: int) -> None:
        if number:
            await asyncio.sleep(0)  # it waits once: what it raises then takes another way
        how()

    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    server = await serve(app, "WebSocketProtocol")
    async with connect(f"{server.websocket_url}/ws?recovery=false&token={create_token('ann', SETTINGS)}") as socket:
        assert "auth" in str(await socket.recv())
        for number in range(2):
            await socket.send(f'{{"type":"go","data":{number}}}')
            assert "INTERNAL" in str(await socket.recv())
