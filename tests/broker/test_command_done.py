"""A refresh is awaited at other processes, also if the question whether it is done comes there before the command."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Awaitable

import pytest

from asgi_realtime.broker.command_calls import CommandCalls
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.commands import Command, RefreshRooms
from asgi_realtime.values.ids import RoomName
from asgi_realtime.values.publications import Position, Subscription, ToRoom
from asgi_realtime.values.questions import NodeStatus
from tests.support.recording import GATEWAY
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

WAIT = 10.0
ROOM = ToRoom(RoomName("room"))


class Refreshing(RecordingReceiver):
    """Carries out commands when it is allowed to."""

    def __init__(self) -> None:
        super().__init__()
        self.allowed = asyncio.Event()

    def apply(self, command: Command, position: Position | None) -> Awaitable[object] | None:
        super().apply(command, position)
        return self.allowed.wait()


class Overtaking:
    """Lets the question pass the command, as two connections may."""

    def __init__(self) -> None:
        self.command = b""
        self.overtaken = False

    def __call__(self, data: bytes) -> bytes:
        if not self.command and b"refresh" in data:
            self.command = data
            return b""
        if self.command and not self.overtaken and b"questions" in data:
            self.overtaken = True
            return data + self.command
        return data


@contextlib.asynccontextmanager
async def running(url: str, prefix: str, receiver: RecordingReceiver) -> AsyncIterator[RedisBroker]:
    broker = RedisBroker(RedisServer(url), prefix=prefix, timeout=WAIT)
    await broker.start(receiver)
    try:
        await until(lambda: broker.ready)
        await broker.subscribe([Subscription(GATEWAY, ROOM)])
        yield broker
    finally:
        await broker.stop()


@pytest.mark.parametrize("overtakes", [True, False])
async def test_a_refresh_is_awaited_at_another_process(redis_process: RedisProcess, overtakes: bool) -> None:
    prefix, swap, there, here = f"test-{secrets.token_hex(4)}", Overtaking(), Refreshing(), Refreshing()
    here.allowed.set()
    async with (
        redis_proxy(redis_process.socket, rewrite=swap if overtakes else None) as proxy,
        running(proxy.url, prefix, there),
        running(redis_process.url, prefix, here) as asking,
    ):
        refresh = asyncio.create_task(asking.command(RefreshRooms(GATEWAY, ROOM)))
        await until(lambda: there.commands)
        assert swap.overtaken is overtakes
        await asking.ask(NodeStatus(), seconds=WAIT)  # answered after everything that was answered before
        assert not refresh.done()
        there.allowed.set()
        await refresh


async def test_a_refresh_that_is_over_or_that_never_comes_is_not_waited_for(redis_process: RedisProcess) -> None:
    prefix, there, here = f"test-{secrets.token_hex(4)}", Refreshing(), Refreshing()
    there.allowed.set()
    here.allowed.set()
    async with running(redis_process.url, prefix, there), running(redis_process.url, prefix, here) as asking:
        other = RefreshRooms(type(GATEWAY)("/not served there"), ROOM)
        async with asyncio.timeout(WAIT / 4):  # less than a question waits
            await asking.command(RefreshRooms(GATEWAY, ROOM))
            await asking.command(other)
    assert len(there.commands) == 1


async def test_what_waits_for_a_command_that_never_comes_is_forgotten() -> None:
    called: list[str] = []
    calls = CommandCalls(Tasks())
    calls.when_done("never", lambda: called.append("never"), seconds=0.01)
    calls.when_done("comes", lambda: called.append("comes"), seconds=WAIT)
    calls.when_done("unknown", lambda: called.append("unknown"))
    calls.commanded("comes", None)
    assert called == ["unknown", "comes"]
    forgotten = asyncio.Event()
    asyncio.get_running_loop().call_later(0.02, forgotten.set)
    await forgotten.wait()
    calls.commanded("never", None)
    assert called == ["unknown", "comes"]
