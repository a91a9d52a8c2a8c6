"""Broadcasts and commands of processes that serve no clients."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from multiprocessing.connection import Connection
from typing import Any

import pytest

from asgi_realtime import (
    Broadcaster,
    BrokerUnavailable,
    ConfigurationError,
    MewBroadcaster,
    PayloadTooLarge,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    WebSocketGateway,
)
from tests.support.cluster import Cluster

GATEWAYS = [SocketIOGateway("/"), SocketIOGateway("/device"), WebSocketGateway("/ws")]


def settings_of(cluster: Cluster) -> Settings:
    return Settings(redis_url=cluster.redis_url, redis_prefix=cluster.prefix)


async def test_a_connected_broadcaster_reaches_clients_of_every_node(cluster: Cluster) -> None:
    first, second = await cluster.start(), await cluster.start()
    ada, bob = await first.connect("ada"), await second.connect("bob")
    for client in (ada, bob):
        await client.call("join", "lobby")
    async with Broadcaster.connect(gateways=GATEWAYS, settings=settings_of(cluster)) as broadcaster:
        receipt = await broadcaster.broadcast_to_room("lobby", "news", {"n": 1})
        await broadcaster.broadcast_to_user("bob", "personal", b"\x00")
        await broadcaster.broadcast_to_all("everywhere")
        await broadcaster.broadcast_to_room("lobby", "now", volatile=True)
        again = [await broadcaster.broadcast_to_room("lobby", "once", key="k") for _ in range(2)]
        await broadcaster.broadcast_to_room("lobby", "end")
        position = await broadcaster.position("lobby")
    assert (receipt.delivered_locally, receipt.replicated) == (0, True)
    assert again[0] == again[1]
    assert receipt.position is not None and position > receipt.position
    for client in (ada, bob):
        await client.expect("end")
    assert [each.event for each in ada.events] == ["news", "everywhere", "now", "once", "end"]
    assert [(each.event, each.args) for each in bob.events] == [
        ("news", [{"n": 1}]),
        ("personal", [b"\x00"]),
        ("everywhere", []),
        ("now", []),
        ("once", []),
        ("end", []),
    ]
    await ada.disconnect()
    await bob.disconnect()


async def test_commands_of_a_connected_broadcaster_are_carried_out_by_the_nodes(cluster: Cluster) -> None:
    first, second = await cluster.start(), await cluster.start()
    ada, bob = await first.connect("ada"), await second.connect("bob")
    async with Broadcaster.connect(gateways=GATEWAYS, settings=settings_of(cluster)) as broadcaster:
        await broadcaster.add_user_to_room("ada", "lobby")
        await broadcaster.broadcast_to_room("lobby", "in")
        await broadcaster.remove_user_from_room("ada", "lobby")
        await broadcaster.broadcast_to_room("lobby", "out")
        await broadcaster.broadcast_to_user("ada", "end")
        await ada.expect("end")
        assert [each.event for each in ada.events] == ["in", "end"]
        await broadcaster.disconnect_user("ada")
        await broadcaster.revoke_user("bob")
        for client in (ada, bob):
            await client.disconnection()


async def test_typed_broadcasters_work_on_a_connected_one(cluster: Cluster) -> None:
    node = await cluster.start()
    ada = await node.connect("ada")
    await ada.call("join", "channel")

    def publish() -> None:
        with SyncBroadcaster.connect(settings=settings_of(cluster)) as broadcaster:
            MewBroadcaster(broadcaster.asynchronous).sync.message_create("channel", {"id": 1}, recipients=None)

    await asyncio.to_thread(publish)
    assert (await ada.expect("MESSAGE_CREATE")).args == [{"id": 1}]
    await ada.disconnect()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
async def test_the_sync_broadcaster_is_safe_for_threads_and_says_what_to_do_after_a_fork(cluster: Cluster) -> None:
    node = await cluster.start()
    ada = await node.connect("ada")

    def publish() -> str:
        with SyncBroadcaster.connect(cluster.redis_url, settings=settings_of(cluster)) as broadcaster:
            threads = [
                threading.Thread(target=broadcaster.broadcast_to_user, args=("ada", "news", number))
                for number in range(8)
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return _answer_of_child(broadcaster)

    answer = await asyncio.to_thread(publish)
    assert "forked" in answer
    heard = [(await ada.expect("news")).data for _ in range(8)]
    assert sorted(map(int, heard)) == list(range(8))
    await ada.disconnect()


def _answer_of_child(broadcaster: SyncBroadcaster) -> str:
    """The error that a call raises in a forked process."""
    fork = multiprocessing.get_context("fork")
    reading, writing = fork.Pipe(duplex=False)
    child = fork.Process(target=_broadcast_in_child, args=(broadcaster, writing))
    child.start()
    answer: str = reading.recv()
    child.join()
    return answer


def _broadcast_in_child(broadcaster: SyncBroadcaster, answer: Connection) -> None:
    try:
        broadcaster.broadcast_to_all("news", "of a child")
    except RuntimeError as error:
        answer.send(str(error))


async def test_limits_and_errors_are_those_of_the_app(cluster: Cluster) -> None:
    async with Broadcaster.connect(gateways=GATEWAYS, settings=settings_of(cluster)) as broadcaster:
        with pytest.raises(PayloadTooLarge):
            await broadcaster.broadcast_to_all("news", "x" * 5_000_000)
        with pytest.raises(TypeError, match="no bytes"):
            await broadcaster.broadcast_to_all("news", b"", gateway="/ws")
        with pytest.raises(ConfigurationError, match="no gateway '/other'"):
            broadcaster.of("/other")
        with pytest.raises(ValueError):
            await broadcaster.broadcast_to_all("disconnect")


@pytest.mark.parametrize("gateways", ["/", ["/"], [SocketIOGateway], 5, {SocketIOGateway("/")}])
async def test_gateways_that_are_none_are_refused(gateways: Any) -> None:
    with pytest.raises(ConfigurationError, match="gateways="):
        async with Broadcaster.connect("redis://127.0.0.1:1", gateways=gateways, settings=Settings()):
            pass


async def test_an_unreachable_redis_is_an_error_that_says_why() -> None:
    with pytest.raises(BrokerUnavailable, match=r"127\.0\.0\.1:1"):
        async with Broadcaster.connect("redis://127.0.0.1:1", settings=Settings(publish_timeout=0.3)):
            pass
    with pytest.raises(BrokerUnavailable), SyncBroadcaster.connect("redis://127.0.0.1:1", settings=Settings()):
        pass
    with pytest.raises(ConfigurationError, match="MEW_REDIS_URL"):
        async with Broadcaster.connect(settings=Settings()):
            pass
