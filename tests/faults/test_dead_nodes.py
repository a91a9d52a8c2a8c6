"""Presence while processes are killed, frozen and stopped."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, Node
from tests.support.node_client import ConnectRefused
from tests.support.python_client import PythonClient
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

LEASE = 0.6
GRACE = 0.3
SETTINGS = {"MEW_NODE_LEASE": str(LEASE), "MEW_PRESENCE_GRACE": str(GRACE), "MEW_CONNECTIONS_PER_USER": "2"}


@pytest.fixture
async def cluster(tmp_path: Path, redis_process: RedisProcess) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, redis_process.url) as running:
        yield running


class Watcher:
    """A client that records which users come online and go offline."""

    def __init__(self, client: PythonClient) -> None:
        self._client = client

    @classmethod
    async def at(cls, node: Node) -> Watcher:
        client = await node.connect("watcher")
        await client.call("join", "presence")
        return cls(client)

    async def expect_announced(self, *expected: str) -> None:
        """Wait until exactly these users were announced. Fail if more are announced within lease and grace."""
        events = self._client.events
        await until(lambda: len(events) >= len(expected))
        await asyncio.sleep(LEASE + GRACE)
        assert sorted(f"{'+' if each.event == 'online' else '-'}{each.data}" for each in events) == sorted(expected)
        events.clear()

    async def close(self) -> None:
        await self._client.disconnect()


async def test_users_of_a_killed_process_go_offline_once(cluster: Cluster) -> None:
    killed, first, second = [await cluster.start(**SETTINGS) for _ in range(3)]
    watcher = await Watcher.at(first)
    clients = [await killed.connect(user) for user in ("ada", "bob", "eve")]
    clients.append(await second.connect("bob"))
    await watcher.expect_announced("+ada", "+bob", "+eve")

    killed.process.signal(signal.SIGKILL)
    eve = await second.connect("eve")  # as a client does after a lost connection
    await watcher.expect_announced("-ada")
    assert sorted(await first.call("online_users")) == ["bob", "eve", "watcher"]

    await eve.disconnect()
    await clients[3].disconnect()
    await watcher.expect_announced("-bob", "-eve")
    await watcher.close()


async def test_a_frozen_process_brings_its_users_back_once(cluster: Cluster) -> None:
    frozen, other = await cluster.start(**SETTINGS), await cluster.start(**SETTINGS)
    watcher = await Watcher.at(other)
    ada, eve = await frozen.connect("ada"), await frozen.connect("eve")
    eve_elsewhere = await other.connect("eve")
    await watcher.expect_announced("+ada", "+eve")

    frozen.process.signal(signal.SIGSTOP)
    await watcher.expect_announced("-ada")
    frozen.process.signal(signal.SIGCONT)
    await watcher.expect_announced("+ada")
    assert sorted(await other.call("online_users")) == ["ada", "eve", "watcher"]

    await eve_elsewhere.disconnect()
    await watcher.expect_announced()
    await ada.disconnect()
    await eve.disconnect()
    await watcher.expect_announced("-ada", "-eve")
    await watcher.close()


async def test_a_process_that_was_cut_off_for_longer_than_its_lease_comes_back_without_a_storm(
    cluster: Cluster, redis_process: RedisProcess
) -> None:
    async with redis_proxy(redis_process.socket) as proxy:
        settings = SETTINGS | {"MEW_ON_BROKER_DOWN": "local"}
        cut, other = await cluster.start(**settings, MEW_REDIS_URL=proxy.url), await cluster.start(**settings)
        watcher = await Watcher.at(other)
        ada, eve, stays = await cut.connect("ada"), await cut.connect("eve"), await other.connect("bob")
        eve_elsewhere = await other.connect("eve")
        await watcher.expect_announced("+ada", "+eve", "+bob")
        for client in (ada, stays):
            await client.call("join", "lobby")

        proxy.refusing = True
        proxy.cut()
        await watcher.expect_announced("-ada")  # for the others, this process is dead
        for number in range(3):
            await cut.call("broadcast_to_room", "lobby", "news", number)
            assert (await ada.expect("news")).data == number
        late = await cut.connect("late")

        proxy.refusing = False
        await watcher.expect_announced("+ada", "+late")
        assert [(await stays.expect("news")).data for _ in range(3)] == [0, 1, 2]
        assert sorted(await other.call("online_users")) == ["ada", "bob", "eve", "late", "watcher"]

        await eve.disconnect()
        await watcher.expect_announced()
        await eve_elsewhere.disconnect()
        await ada.disconnect()
        await watcher.expect_announced("-ada", "-eve")
        for client in (late, stays):
            await client.disconnect()
        await watcher.close()


async def test_a_stopped_process_hands_its_users_over(cluster: Cluster) -> None:
    settings = SETTINGS | {"MEW_PRESENCE_GRACE": "2"}  # bob must be back within the grace, also on a loaded machine
    stopping, other = await cluster.start(**settings), await cluster.start(**settings)
    watcher = await Watcher.at(other)
    _, bob = [await stopping.connect(user) for user in ("ada", "bob")]
    await watcher.expect_announced("+ada", "+bob")
    stopped = asyncio.create_task(stopping.process.stop())
    await bob.disconnection()
    bob = await other.connect("bob")
    await watcher.expect_announced("-ada")
    await stopped
    await bob.disconnect()
    await watcher.close()


async def test_the_limit_of_connections_holds_over_processes_and_after_a_kill(cluster: Cluster) -> None:
    killed, first, second = [await cluster.start(**SETTINGS) for _ in range(3)]
    await killed.connect("ada")
    kept = [await first.connect("ada")]
    for node in (killed, first, second):
        with pytest.raises(ConnectRefused, match="too many connections"):
            await node.connect("ada")
    killed.process.signal(signal.SIGKILL)
    deadline = asyncio.get_running_loop().time() + 10 * LEASE
    while len(kept) < 2 and asyncio.get_running_loop().time() < deadline:
        try:
            kept.append(await second.connect("ada"))
        except ConnectRefused:
            continue
    assert len(kept) == 2
    with pytest.raises(ConnectRefused, match="too many connections"):
        await first.connect("ada")
    for client in kept:
        await client.disconnect()
