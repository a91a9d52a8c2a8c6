"""Processes that are forked after the app was made, as `gunicorn --preload` does it."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import secrets
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from typing import Any

import pytest

from asgi_realtime.broker.memory import MemoryBroker
from asgi_realtime.broker.redis import RedisBroker
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.values.ids import GatewayName, RoomName
from asgi_realtime.values.publications import Publication, Subscription, ToRoom
from asgi_realtime.values.questions import NodeStatus
from tests.support.recording_receiver import RecordingReceiver
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

GATEWAY = GatewayName("/")
LOBBY = ToRoom(RoomName("lobby"))
FORK = multiprocessing.get_context("fork")

pytestmark = pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")


@contextlib.contextmanager
def two_children(run: Callable[..., None], *arguments: Any) -> Iterator[list[Connection]]:
    """Call `run(connection, *arguments)` in two forked processes. Gives this end of both connections."""
    connections, children = [], []
    for _ in range(2):
        ours, theirs = FORK.Pipe()
        child = FORK.Process(target=run, args=(theirs, *arguments))
        child.start()
        theirs.close()
        connections.append(ours)
        children.append(child)
    try:
        yield connections
        for child in children:
            child.join()
            assert child.exitcode == 0
    finally:
        for child in children:
            child.kill()


def test_forked_processes_are_different_processes_in_redis(redis_process: RedisProcess) -> None:
    broker = RedisBroker(RedisServer(redis_process.url), prefix=f"test-{secrets.token_hex(4)}", timeout=10.0)
    with two_children(_publish_volatile, broker) as children:
        nodes, origins = zip(*(child.recv() for child in children), strict=True)
        assert len(set(nodes)) == len(set(origins)) == 2
        for number, child in enumerate(children):
            child.send(f"event {number}")
            assert child.recv() == sorted(nodes)
        for child in children:
            child.send("")
            assert child.recv() == ["event 0", "event 1"]


def _publish_volatile(connection: Connection, broker: RedisBroker) -> None:
    async def run() -> None:
        receiver = RecordingReceiver()
        await broker.start(receiver)
        await broker.subscribe([Subscription(GATEWAY, LOBBY)])
        connection.send((broker.node, broker.new_origin()))
        while event := await asyncio.to_thread(connection.recv):
            await broker.publish(Publication(gateway=GATEWAY, target=LOBBY, event=event, volatile=True))
            connection.send(sorted((await broker.ask(NodeStatus(), seconds=10.0)).by_node))
        await until(lambda: len(receiver.seen) == 2)
        connection.send(receiver.seen)
        await broker.stop()

    asyncio.run(run())


def test_a_position_of_one_forked_process_is_unknown_to_the_next() -> None:
    with two_children(_begin_in_memory, MemoryBroker()) as children:
        nodes, positions = zip(*(child.recv() for child in children), strict=True)
    assert len(set(nodes)) == len(set(positions)) == 2


def _begin_in_memory(connection: Connection, broker: MemoryBroker) -> None:
    async def run() -> None:
        await broker.start(RecordingReceiver())
        connection.send((broker.node, await broker.position(GATEWAY)))

    asyncio.run(run())
