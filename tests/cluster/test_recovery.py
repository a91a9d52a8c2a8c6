"""Stock clients recover in another process, however the first one ends."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from asgi_realtime import Settings, create_token
from asgi_realtime.values.json import Json
from tests.support.cluster import SECRET, Cluster
from tests.support.cluster import Node as ServerNode
from tests.support.node_client import Node, NodeClient
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.waiting import until

LONG = os.environ.get("FAULTS") == "long"
SILENT, SILENCE = (90.0, {}) if LONG else (3.0, {"MEW_PING_INTERVAL": "0.4", "MEW_PING_TIMEOUT": "2"})
"""Seconds, longer than a ping and its time-out, after which the client's process takes it for lost."""
PATIENCE = 20.0


async def connect(node: Node, server: ServerNode, user_id: str = "ann") -> NodeClient:
    token = create_token(user_id, Settings(jwt_secret=SECRET))
    return await node.connect(server.url, auth={"token": token}, transports=["websocket"])


async def return_to(client: NodeClient, server: ServerNode) -> None:
    await client.command("move", url=server.url)
    await client.reconnect()


def data(client: NodeClient) -> list[Json]:
    return [received.args[0] for received in client.events if received.event == "n"]


async def test_clients_of_a_killed_process_recover(cluster: Cluster, node: Node) -> None:
    cluster.set_rooms({"ann": {"granted": None}})
    killed, other = await cluster.start(), await cluster.start()
    client = await connect(node, killed)
    for room in ("left", "joined", "removed"):
        await client.call("join", room)
    await client.call("leave", "left")
    await other.call("broadcast_to_room", "joined", "n", 1)
    await client.expect("n")
    killed.process.signal(signal.SIGKILL)
    await client.disconnection(timeout=PATIENCE)
    await other.call("remove_user_from_room", "ann", "removed")
    await other.call("add_user_to_room", "ann", "added")
    for room in ("left", "joined", "removed", "added", "granted"):
        await other.call("broadcast_to_room", room, "n", room)
    await return_to(client, other)
    assert client.recovered
    await other.call("broadcast_to_user", "ann", "n", "last")
    await until(lambda: "last" in data(client))
    assert data(client) == [1, "joined", "added", "granted", "last"]


async def test_rooms_that_commands_have_changed_are_known_after_a_kill(cluster: Cluster, node: Node) -> None:
    killed, other = await cluster.start(), await cluster.start()
    client = await connect(node, killed)
    await client.call("join", "removed")
    await other.call("add_user_to_room", "ann", "added")
    await other.call("remove_user_from_room", "ann", "removed")
    await other.call("broadcast_to_room", "added", "n", 1)
    await client.expect("n")
    killed.process.signal(signal.SIGKILL)
    await client.disconnection(timeout=PATIENCE)
    for room in ("removed", "added"):
        await other.call("broadcast_to_room", room, "n", room)
    await return_to(client, other)
    assert client.recovered
    assert data(client) == [1, "added"]


async def test_clients_of_a_frozen_process_recover_and_it_gives_them_up(cluster: Cluster, node: Node) -> None:
    frozen, other = await cluster.start(), await cluster.start()
    client = await connect(node, frozen)
    await client.call("join", "room")
    frozen.process.signal(signal.SIGSTOP)
    try:
        await client.vanish()
        await other.call("broadcast_to_room", "room", "n", 1)
        await return_to(client, other)
        assert client.recovered
        await client.call("join", "later")
    finally:
        frozen.process.signal(signal.SIGCONT)
    await other.call("broadcast_to_room", "later", "n", 2)
    await until(lambda: 2 in data(client))
    await client.drop()
    await client.disconnection()
    await other.call("broadcast_to_room", "later", "n", 3)
    await return_to(client, frozen)
    assert client.recovered
    await other.call("broadcast_to_room", "room", "n", 4)
    await until(lambda: 4 in data(client))
    assert data(client) == [1, 2, 3, 4]
    assert len((await other.call("connections", "ann"))["value"]) == 1


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_clients_recover_when_processes_are_replaced_in_turn(
    transport: str, cluster: Cluster, node: Node
) -> None:
    token = create_token("ann", Settings(jwt_secret=SECRET))
    current = await cluster.start(MEW_DRAIN_TIMEOUT="2")
    client = await node.connect(current.url, auth={"token": token}, transports=[transport])
    await client.call("join", "room")
    for number in range(3):
        following = await cluster.start(MEW_DRAIN_TIMEOUT="2")
        await current.process.stop()
        await client.disconnection(timeout=PATIENCE)
        await following.call("broadcast_to_room", "room", "n", number)
        await return_to(client, following)
        assert client.recovered
        current = following
    assert data(client) == [0, 1, 2]


async def test_clients_that_were_idle_for_longer_than_history_is_kept_recover(cluster: Cluster, node: Node) -> None:
    short = {
        "MEW_HISTORY_TTL": "6",
        "MEW_RECOVERY_WINDOW": "6",  # a process reports its progress every second
        "MEW_PING_INTERVAL": "0.4",
        "MEW_PING_TIMEOUT": "2",
    }
    killed, other = await cluster.start(**short), await cluster.start(**short)
    client, witness = await connect(node, killed), await connect(node, other, "bob")
    await client.call("join", "room")
    await witness.call("join", "elsewhere")
    await other.call("broadcast_to_room", "room", "n", 1)
    await client.expect("n")
    for number in range(16 if LONG else 2):  # in the long form the client's position is older than history
        await other.call("broadcast_to_room", "elsewhere", "n", number)
        await asyncio.sleep(0.5)
    killed.process.signal(signal.SIGKILL)
    await client.disconnection(timeout=PATIENCE)
    await other.call("broadcast_to_room", "room", "n", 2)
    await return_to(client, other)
    assert client.recovered
    assert data(client) == [1, 2]


async def test_a_client_recovers_after_a_long_silence(cluster: Cluster, node: Node) -> None:
    first, second = [await cluster.start(**SILENCE) for _ in range(2)]
    client = await connect(node, first)
    await client.vanish()
    await asyncio.sleep(SILENT)
    await second.call("broadcast_to_user", "ann", "n", 1)
    await return_to(client, second)
    assert client.recovered
    assert data(client) == [1]


async def test_a_session_is_claimed_by_one_process(cluster: Cluster, node: Node) -> None:
    first, second = await cluster.start(), await cluster.start()
    client, thief = await connect(node, first), await connect(node, second)
    pid = await client.command("pid")
    await client.drop()
    await thief.drop()
    await thief.disconnection()
    await thief.command("set_pid", pid=pid)
    await thief.reconnect()
    assert thief.recovered
    await thief.command("set_pid", pid=None)
    await return_to(client, second)
    assert client.recovered  # the open connection of the session is ended, as in one process
    await thief.disconnection()


async def test_rooms_that_were_joined_while_redis_was_away_are_written_when_it_is_back(
    cluster: Cluster, redis_process: RedisProcess, node: Node
) -> None:
    async with redis_proxy(redis_process.socket) as proxy:
        cut, other = await cluster.start(MEW_REDIS_URL=proxy.url), await cluster.start(MEW_REDIS_URL=redis_process.url)
        client, witness = await connect(node, cut), await connect(node, cut, "bob")
        await witness.call("join", "room")
        proxy.refusing = True
        proxy.cut()
        await client.call("join", "room")
        proxy.refusing = False
        await other.call("broadcast_to_room", "room", "n", 1)
        await client.expect("n", timeout=PATIENCE)

        async def joined() -> bool:
            (answer,) = await client.call("join", "another")
            return isinstance(answer, str)  # it is refused while the process still connects to Redis

        await until(joined)  # what was to be written before is written now
        cut.process.signal(signal.SIGKILL)
        await client.disconnection(timeout=PATIENCE)
        await other.call("broadcast_to_room", "room", "n", 2)
        await return_to(client, other)
        assert client.recovered
        assert data(client) == [1, 2]


async def test_clients_that_got_events_while_redis_was_away_do_not_get_them_again(
    cluster: Cluster, redis_process: RedisProcess, node: Node
) -> None:
    async with redis_proxy(redis_process.socket) as proxy:
        cut = await cluster.start(MEW_REDIS_URL=proxy.url, MEW_ON_BROKER_DOWN="local")
        client, later = await connect(node, cut), await connect(node, cut, "bob")
        await client.call("join", "room")
        proxy.refusing = True
        proxy.cut()
        await cut.call("broadcast_to_room", "room", "n", 1)
        await client.expect("n")
        between = await connect(node, cut, "eve")
        await between.call("join", "room")
        proxy.refusing = False
        await until(lambda: "everything that was queued is published" in cut.process.output)
        await later.drop()
        await later.disconnection()
        await later.command("set_pid", pid=None)
        await return_to(later, cut)
        await later.call("join", "room")
        for each in (client, between, later):
            await each.drop()
            await each.disconnection()
        await cut.call("broadcast_to_room", "room", "n", 2)
        for each, recovered in ((client, False), (between, False), (later, True)):
            await return_to(each, cut)
            assert each.recovered is recovered
        assert (data(client), data(between), data(later)) == ([1], [], [2])


async def test_a_client_with_too_many_rooms_does_not_recover(cluster: Cluster, node: Node) -> None:
    cluster.set_rooms({"ann": {f"{number:0>100}": None for number in range(700)}})
    first, second = await cluster.start(), await cluster.start()
    client = await connect(node, first)
    await client.drop()
    await client.disconnection()
    await return_to(client, second)
    assert not client.recovered


async def test_clients_do_not_recover_from_a_history_that_redis_has_lost_a_part_of(
    tmp_path: Path, redis_process: RedisProcess, node: Node
) -> None:
    async with Cluster(tmp_path, redis_process.url) as cluster:
        server = await cluster.start()
        client, witness = await connect(node, server), await connect(node, server, "bob")
        await client.call("join", "room")
        await witness.call("join", "room")
        await client.drop()
        await client.disconnection()
        with redis_process.client() as redis:
            keys = redis.keys(f"{cluster.prefix}:*")
            older = {key: redis.dump(key) for key in keys if b":r:" not in key}
            await server.call("broadcast_to_room", "room", "n", 1)
            await witness.expect("n")
            redis.delete(*redis.keys(f"{cluster.prefix}:*:[hl]:*"))
            for key, dump in older.items():
                redis.restore(key, 0, dump, replace=True)
            redis.client_kill_filter(_type="pubsub", skipme=True)
        await witness.expect("realtime:resync")
        other = await cluster.start()
        await other.call("broadcast_to_room", "room", "n", 2)
        await return_to(client, other)
        assert (client.recovered, data(client)) == (False, [])
