"""Questions to all nodes: which users are connected where, also if a node does not answer."""

from __future__ import annotations

import asyncio
import signal
import time

from asgi_realtime import Broadcaster, Settings, SocketIOGateway
from tests.support.cluster import Cluster


async def test_every_node_is_asked_from_any_node_and_from_a_process_without_clients(cluster: Cluster) -> None:
    first, second = await cluster.start(), await cluster.start()
    clients = [await first.connect("ada"), await second.connect("ada"), await second.connect("bob")]
    ids = [(await client.call("join", "lobby"))[0] for client in clients]
    settings = Settings(redis_url=cluster.redis_url, redis_prefix=cluster.prefix)
    async with Broadcaster.connect(gateways=[SocketIOGateway("/")], settings=settings) as broadcaster:
        size, connections = await broadcaster.room_size("lobby"), await broadcaster.connections("ada")
        nodes = await broadcaster.nodes()
    assert (size.value, size.complete) == (3, True)
    assert {each.id for each in connections.value} == set(ids[:2])
    assert {each.node for each in connections.value} == {each.id for each in nodes.value}
    assert len(nodes.value) == 2
    assert sorted(each.connections["/"] for each in nodes.value) == [1, 2]
    assert nodes.complete and connections.complete
    for node in (first, second):
        assert await node.call("room_size", "lobby") == {"value": 3, "complete": True, "missing": []}
        assert await node.call("room_size", "attic") == {"value": 0, "complete": True, "missing": []}
        assert len((await node.call("connections", "ada"))["value"]) == 2
        assert len((await node.call("nodes"))["value"]) == 2
    for client in clients:
        await client.disconnect()


async def test_a_node_that_does_not_answer_makes_the_answer_partial_within_the_deadline(cluster: Cluster) -> None:
    first, second = await cluster.start(), await cluster.start()
    clients = [await first.connect("ada"), await second.connect("bob")]
    for client in clients:
        await client.call("join", "lobby")
    [silent] = (await first.call("connections", "bob"))["value"]
    second.process.signal(signal.SIGSTOP)
    try:
        before = time.monotonic()
        answer = await first.call("room_size", "lobby")
        assert time.monotonic() - before < 1.5
        assert answer == {"value": 1, "complete": False, "missing": [silent["node"]]}
    finally:
        second.process.signal(signal.SIGCONT)
    assert await first.call("room_size", "lobby") == {"value": 2, "complete": True, "missing": []}
    for client in clients:
        await client.disconnect()


async def test_the_answer_comes_at_once_when_a_node_has_died_and_is_partial_until_its_lease_ends(
    cluster: Cluster,
) -> None:
    first, second = [await cluster.start(MEW_NODE_LEASE="1.5") for _ in range(2)]
    client, other = await first.connect("ada"), await second.connect("bob")
    await client.call("join", "lobby")
    [dying] = (await first.call("connections", "bob"))["value"]
    second.process.signal(signal.SIGKILL)
    await second.process.ended()
    before = time.monotonic()
    answer = await first.call("room_size", "lobby")
    assert time.monotonic() - before < 0.5
    assert answer == {"value": 1, "complete": False, "missing": [dying["node"]]}
    async with asyncio.timeout(10):
        while not answer["complete"]:
            answer = await first.call("room_size", "lobby")
    assert answer["value"] == 1
    await other.disconnection()
    await client.disconnect()


async def test_who_is_online_is_answered_in_a_process_without_clients(cluster: Cluster) -> None:
    first, second = await cluster.start(), await cluster.start()
    clients = [await first.connect("ada"), await second.connect("bob")]
    settings = Settings(redis_url=cluster.redis_url, redis_prefix=cluster.prefix)
    async with Broadcaster.connect(settings=settings) as broadcaster:
        assert await broadcaster.online_users() == {"ada", "bob"}
        assert await broadcaster.is_online("ada")
        assert not await broadcaster.is_online("eve")
    for client in clients:
        await client.disconnect()
