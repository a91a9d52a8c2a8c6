"""The writer that sends the frames of an outbox by ASGI `send`."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import Message

from asgi_realtime.outbound.asgi_writer import Writer
from asgi_realtime.outbound.outbox import Outbox
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.tasks import Tasks


class Client:
    """The server side of a WebSocket. Accepts messages while `reading` is set."""

    def __init__(self, limit: int = 1_000_000) -> None:
        self.received: list[Message] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self.error: Exception | None = None
        self.aborted = False
        self.transport = self  # read by `cut`
        self.tasks = Tasks()
        self.lost = 0
        self.outbox = Outbox(limit, self)
        self.writer = Writer(self.outbox, self.send, tasks=self.tasks, lost=self._lose)

    def abort(self) -> None:
        self.aborted = True

    def overflowed(self) -> None:
        pass

    def _lose(self) -> None:
        self.lost += 1

    async def send(self, message: Message) -> None:
        await self.reading.wait()
        if self.error is not None:
            raise self.error
        self.received.append(message)

    @property
    def texts(self) -> list[Any]:
        return [message.get("text", message["type"]) for message in self.received]


async def test_the_writer_has_a_task_only_while_frames_wait() -> None:
    client = Client()
    client.outbox.push(Frame("before"))
    client.writer.start()
    await client.tasks.until_idle()
    assert (client.texts, len(client.tasks)) == (["before"], 0)
    for number in range(3):
        client.outbox.push(Frame(str(number)))
        assert len(client.tasks) == 1
    await client.tasks.until_idle()
    assert client.texts == ["before", "0", "1", "2"]


async def test_messages_of_one_frame_stay_together_and_in_order() -> None:
    client = Client()
    client.writer.start()
    client.outbox.push(Frame("51-", b"binary"))
    client.outbox.push(Frame("next"))
    await client.tasks.until_idle()
    assert [message.get("text", message.get("bytes")) for message in client.received] == ["51-", b"binary", "next"]


async def test_finish_flushes_only_if_requested() -> None:
    for flush in (True, False):
        client = Client()
        client.reading.clear()
        client.writer.start()
        client.outbox.push(Frame("queued"))
        await asyncio.sleep(0)
        finishing = asyncio.create_task(client.writer.finish(1001, "é" * 100, flush=flush))
        await asyncio.sleep(0)
        client.reading.set()
        await finishing
        assert client.texts == (["queued", "websocket.close"] if flush else ["websocket.close"])
        assert client.received[-1]["code"] == 1001
        assert len(client.received[-1]["reason"].encode()) <= 123
        assert not client.aborted
        await client.tasks.until_idle()


async def test_a_client_that_does_not_read_is_cut() -> None:
    for flush in (True, False):
        client = Client()
        client.writer.start()
        client.reading.clear()
        client.outbox.push(Frame("queued"))
        await client.writer.finish(1000, "", flush=flush)
        client.writer.stop()
        assert client.aborted
        await client.tasks.aclose()
        assert client.received == []


async def test_a_disconnected_client_is_reported_once() -> None:
    client = Client()
    client.writer.start()
    client.error = OSError("gone")
    client.outbox.push(Frame("a"))
    await client.tasks.until_idle()
    client.outbox.push(Frame("b"))
    await client.tasks.until_idle()
    assert (client.lost, client.writer.gone) == (1, True)
    await client.writer.finish(1000, "", flush=True)
    assert client.received == []


async def test_nothing_is_written_after_stop() -> None:
    client = Client()
    client.writer.start()
    client.writer.stop()
    client.outbox.push(Frame("late"))
    assert len(client.tasks) == 0
    assert client.received == []
