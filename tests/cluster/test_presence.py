"""Users are announced as online and offline by different nodes, in the order in which that happened."""

from __future__ import annotations

import asyncio

import pytest

from tests.support.cluster import Cluster
from tests.support.python_client import PythonClient
from tests.support.waiting import until


async def announcements(watcher: PythonClient, number: int) -> None:
    """Wait for this many announcements, from the first one on."""
    await until(lambda: len(watcher.events) >= number)


@pytest.mark.parametrize("delay", ["0", "0.2"])
async def test_a_user_who_returns_to_another_node_is_announced_online_last(delay: str, cluster: Cluster) -> None:
    nodes = await asyncio.gather(*(cluster.start(MEW_PRESENCE_GRACE="0", OFFLINE_DELAY=delay) for _ in range(2)))
    watcher = await nodes[0].connect("watcher")
    await watcher.call("join", "presence")
    for number in range(4):
        bob = await nodes[number % 2].connect("bob")
        await announcements(watcher, 2 * number + 1)
        await bob.disconnect()
        async with asyncio.timeout(10):
            while await nodes[number % 2].call("is_online", "bob"):
                pass
    await announcements(watcher, 8)
    assert [(received.event, received.data) for received in watcher.events] == [
        (event, "bob") for _ in range(4) for event in ("online", "offline")
    ]
    await watcher.disconnect()
