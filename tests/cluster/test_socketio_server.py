"""`SocketIOServer` on several nodes: what its methods do to clients of other nodes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster, Node
from tests.support.python_client import PythonClient
from tests.support.redis_server import RedisProcess


@pytest.fixture
async def nodes(tmp_path: Path, redis_process: RedisProcess) -> AsyncIterator[tuple[Node, Node]]:
    """Two nodes."""
    async with Cluster(tmp_path, redis_process.url, "tests.support.socketio_app") as cluster:
        yield await cluster.start(), await cluster.start()


async def sid_in(client: PythonClient, *rooms: str) -> str:
    """Put a client into rooms. Returns its `sid`."""
    for room in rooms:
        [sid] = await client.call("join", room)
    return str(sid)


async def events_until_end(node: Node, client: PythonClient) -> list[tuple[str, list[Any]]]:
    """The events that a client has received, up to a marker that a node sends to all clients now."""
    await node.call("emit", "end")
    await client.expect("end")
    return [(each.event, each.args) for each in client.events if each.event != "end"]


async def test_an_event_to_several_rooms_reaches_each_client_of_every_node_once(nodes: tuple[Node, Node]) -> None:
    first, second = nodes
    ada, bob, eve = await first.connect("ada"), await second.connect("bob"), await second.connect("eve")
    sids = [await sid_in(ada, "a", "b"), await sid_in(bob, "a", "b"), await sid_in(eve, "b", "c")]
    for node in nodes:
        await node.call("emit", "to both", 1, room=["a", "b"])
        await node.call("emit", "to one of them", 1, to=["c", "d"])
        await node.call("emit", "to rooms and clients", 1, to=["a", sids[1], sids[2]])
        await node.call("emit", "without bob", 1, room=["a", "b"], skip_sid=sids[1])
        await node.call("emit", "without two", 1, skip_sid=[sids[0], sids[2]])
        await node.call("emit", "nowhere", 1, room=["d", "e"])
    expected = {
        ada: ["to both", "to rooms and clients", "without bob"],
        bob: ["to both", "to rooms and clients", "without two"],
        eve: ["to both", "to one of them", "to rooms and clients", "without bob"],
    }
    for client, names in expected.items():
        assert await events_until_end(first, client) == [(name, [1]) for name in 2 * names]
        await client.disconnect()
