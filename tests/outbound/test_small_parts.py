"""Smaller parts for a stock uvicorn: they do what uvicorn's own do, and nothing that waits is lost."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from websockets.datastructures import Headers
from websockets.http11 import Request

from asgi_realtime import Connection, RealtimeMiddleware, Settings, WebSocketGateway, create_token, on
from asgi_realtime.outbound.stock.small_parts import SmallEvent, SmallQueue, shrink
from tests.support.client_frames import TEXT, text
from tests.support.protocol_server import protocol_server
from tests.support.raw_websocket import connect, request
from tests.support.uvicorn_objects import websocket_protocol

SETTINGS = Settings(jwt_secret="a-secret-that-is-long-enough-for-tests")


@given(st.lists(st.none() | st.integers()))
def test_items_leave_in_the_order_in_which_they_came(steps: list[int | None]) -> None:
    """A number is put, and None takes one."""
    small, real = SmallQueue(), asyncio.Queue[int]()
    for step in steps:
        if step is not None:
            small.put_nowait(step)
            real.put_nowait(step)
        elif real.empty():
            with pytest.raises(asyncio.QueueEmpty):
                small.get_nowait()
        else:
            assert small.get_nowait() == real.get_nowait()
        assert small.empty() == real.empty()


async def test_a_reader_waits_for_an_item() -> None:
    queue = SmallQueue()
    reading = asyncio.create_task(queue.get())
    await asyncio.sleep(0)  # the task runs until it waits
    queue.put_nowait("first")
    queue.put_nowait("second")
    assert [await reading, await queue.get()] == ["first", "second"]
    assert queue.empty()


async def test_a_reader_that_is_cancelled_loses_no_item() -> None:
    queue = SmallQueue()
    reading = asyncio.create_task(queue.get())
    await asyncio.sleep(0)  # the task runs until it waits
    queue.put_nowait("kept")
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert await queue.get() == "kept"


async def test_an_event_lets_waiters_pass_while_it_is_set() -> None:
    event = SmallEvent()
    await event.wait()
    event.clear()
    event.clear()
    waiting = [asyncio.create_task(event.wait()) for _ in range(2)]
    await asyncio.sleep(0)  # the tasks run until they wait
    assert not event.is_set() and not any(task.done() for task in waiting)
    event.set()
    await asyncio.gather(*waiting)
    assert event.is_set()


class Echo(WebSocketGateway):
    @on("say")
    async def say(self, word: str, connection: Connection) -> None:
        await connection.send("said", word)


def frames(*words: str) -> bytes:
    return b"".join(text(f'{{"type":"say","data":"{word}"}}') for word in words)


async def test_a_shrunk_object_keeps_what_waits_and_what_is_not_known() -> None:
    usual, clogged = websocket_protocol(), websocket_protocol()
    clogged.writable.clear()
    event = clogged.writable
    for protocol in (usual, clogged):
        protocol.request = handshake = Request("/", Headers(cookie="a cookie"))
        others = {name: value for name, value in vars(protocol).items() if name not in ("queue", "writable", "request")}
        protocol.queue.put_nowait("first")
        protocol.queue.put_nowait("second")
        shrink(protocol)
        assert [protocol.queue.get_nowait() for _ in range(2)] == ["first", "second"]
        assert vars(protocol) == others | {"queue": protocol.queue, "writable": protocol.writable}
        assert len(handshake.headers) == 0
    assert type(usual.writable) is SmallEvent and clogged.writable is event


@pytest.mark.parametrize("ws", ["websockets-sansio", "wsproto"])
async def test_messages_of_a_stock_uvicorn_come_through_the_small_queue(ws: Any) -> None:
    middleware = RealtimeMiddleware(FastAPI(), gateways=[Echo("/echo")], settings=SETTINGS)
    auth = text(f'{{"type":"auth","data":{{"token":"{create_token("ann", SETTINGS)}"}}}}')
    async with protocol_server(middleware, protocol=ws) as server, connect(server.port) as client:
        await client.send(request("/echo"))
        await client.read_head()
        await client.send(auth + frames("a", "b", "c"))
        assert b"auth_success" in (await client.next())[1]
        for word in "abc":
            assert await client.next() == (TEXT, f'{{"type":"said","data":"{word}"}}'.encode())
        (protocol,) = server.server_state.connections
        large = [
            found for found in gc.get_referents(vars(protocol)) if isinstance(found, asyncio.Queue | asyncio.Event)
        ]
        assert large == []
