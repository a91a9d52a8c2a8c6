"""A relayed WebSocket at the process that has the client: what comes through the relay, and how it ends."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message

from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.transports.engineio.relay.messages import CLOSE, TEXT, encode_close
from asgi_realtime.transports.engineio.relay.pipe import Pipe
from asgi_realtime.transports.engineio.relay.websockets import carry_websocket

TOO_SLOW = {"type": "websocket.close", "code": 1013, "reason": "too slow"}


class Client:
    """A client that is connected, says nothing, and takes what it gets."""

    def __init__(self) -> None:
        self.got: list[Message] = []

    async def receive(self) -> Message:
        await asyncio.Event().wait()
        raise AssertionError("the client has said something")

    async def send(self, message: Message) -> None:
        self.got.append(message)


async def carried(parts: list[tuple[str, bytes, bool]]) -> list[Message]:
    """What a client gets if these parts come through the relay."""
    pipe = Pipe(part=lambda kind, data, more: None, credit=lambda size: None, largest=1_000)
    for part in parts:
        pipe.receive_part(*part)
    client, tasks = Client(), Tasks()
    tasks.start()
    async with asyncio.timeout(5):
        await carry_websocket(
            pipe,
            {"type": "websocket", "extensions": {}},
            client.receive,
            client.send,
            message_bytes=1_000,
            control=Budget("control", 10, 10),
            tasks=tasks,
        )
        await tasks.until_idle()
    return client.got


async def test_a_close_behind_a_part_of_an_event_reaches_the_client() -> None:
    close = encode_close((TOO_SLOW["code"], TOO_SLOW["reason"]))
    got = await carried([(TEXT, b"whole", False), (TEXT, b"the first half", True), (CLOSE, close, False)])
    assert got == [{"type": "websocket.accept"}, {"type": "websocket.send", "text": "whole"}, TOO_SLOW]


@pytest.mark.parametrize("unreadable", [(CLOSE, b"?", False), (TEXT, b"\xff", False)])
async def test_an_event_that_cannot_be_read_ends_the_websocket_and_is_logged(
    unreadable: tuple[str, bytes, bool], caplog: pytest.LogCaptureFixture
) -> None:
    assert await carried([unreadable]) == [{"type": "websocket.accept"}]
    assert "relayed WebSocket" in caplog.text
