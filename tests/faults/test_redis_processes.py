"""Two server processes and a Redis of their own that is killed, frozen, flushed and cut off, under load.

The short form runs with the suite. `make test-faults` runs the long form: `FAULTS=long`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from asgi_realtime import Settings, create_token
from tests.support.cluster import SECRET, Cluster
from tests.support.cluster import Node as ServerNode
from tests.support.node_client import ConnectRefused, Node, NodeClient
from tests.support.python_client import PythonClient
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess, redis_server
from tests.support.waiting import until

LONG = os.environ.get("FAULTS") == "long"
TIMEOUT = 1.0
"""`MEW_PUBLISH_TIMEOUT` of the nodes: the default."""
SLACK = 1.5
"""Seconds that a route may take longer on a busy machine."""
RECOVERY = 5.0
"""Seconds after the return of Redis until broadcasts are accepted again."""

pytestmark = pytest.mark.timeout(300 if LONG else 90)


@pytest.fixture
def durable() -> Iterator[RedisProcess]:
    """A Redis of the test that keeps its data when it is killed.

    With Redis' default, `appendfsync everysec`, it writes up to two seconds later on a busy disk, and clients are
    told that events are missing.
    """
    with redis_server(("appendonly", "yes"), ("appendfsync", "always")) as server:
        yield server


@pytest.fixture
async def processes(tmp_path: Path, durable: RedisProcess) -> AsyncIterator[Cluster]:
    async with Cluster(tmp_path, durable.url) as cluster:
        yield cluster


class Load:
    """Numbered broadcasts to one room from each process. A number is published until it is accepted, with one key."""

    def __init__(self, nodes: list[ServerNode]) -> None:
        self._nodes = nodes
        self.accepted: list[str] = []
        self.refused = 0
        self.slowest = 0.0
        self.last_refusal = 0.0
        self._running = True
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Load:
        self._tasks = [asyncio.create_task(self._publish(number)) for number in range(len(self._nodes))]
        return self

    async def __aexit__(self, *error: object) -> None:
        self._running = False
        await asyncio.gather(*self._tasks)

    async def _publish(self, node: int) -> None:
        async with httpx.AsyncClient(timeout=30) as http:
            number = 0
            while self._running:
                number += 1
                name = f"{node}.{number}"
                body = {
                    "method": "broadcast_to_room",
                    "arguments": ["lobby", "news", name],
                    "options": {"key": name},
                }
                await self._until_accepted(http, self._nodes[node].url + "/call", body)
                self.accepted.append(name)

    async def _until_accepted(self, http: httpx.AsyncClient, url: str, body: dict[str, Any]) -> None:
        while True:
            if await self._post(http, url, body):
                return
            await asyncio.sleep(0.05)

    async def _post(self, http: httpx.AsyncClient, url: str, body: dict[str, Any]) -> bool:
        begun = time.monotonic()
        response = await http.post(url, json=body)
        self.slowest = max(self.slowest, time.monotonic() - begun)
        if response.status_code == 503:
            self.refused += 1
            self.last_refusal = time.monotonic()
            return False
        assert response.status_code == 200, response.text
        return True

    async def more(self, count: int = 40) -> None:
        """Wait until this many more were accepted."""
        wanted = len(self.accepted) + count
        await until(lambda: len(self.accepted) >= wanted, seconds=40)


async def connect(nodes: list[ServerNode], node: Node) -> list[PythonClient | NodeClient]:
    """Connect a client of python-socketio and one of npm to each process, all in one room."""
    clients: list[PythonClient | NodeClient] = []
    for number, server in enumerate(nodes):
        clients.append(await server.connect(f"python{number}"))
        token = create_token(f"node{number}", Settings(jwt_secret=SECRET))
        clients.append(await node.connect(server.url, auth={"token": token}, transports=["websocket"]))
    for client in clients:
        await client.call("join", "lobby")
    return clients


def news(client: PythonClient | NodeClient) -> list[str]:
    return [str(received.args[0]) for received in client.events if received.event == "news"]


def has_as_many(client: PythonClient | NodeClient, accepted: list[str]) -> bool:
    return len(news(client)) >= len(accepted)


async def check_that_nothing_is_lost_or_doubled(clients: list[PythonClient | NodeClient], load: Load) -> None:
    accepted = sorted(load.accepted)
    for client in clients:
        with contextlib.suppress(TimeoutError):
            await until(functools.partial(has_as_many, client, accepted), seconds=10)
        assert sorted(news(client)) == accepted
        assert news(client) == news(clients[0])
        assert client.disconnects == []


def resyncs(client: PythonClient | NodeClient) -> list[Any]:
    return [received.args[0] for received in client.events if received.event == "realtime:resync"]


def outages(node: ServerNode) -> list[str]:
    """The lines of the log about Redis, without those at INFO."""
    lines = node.process.output.splitlines()
    return [line for line in lines if "asgi_realtime" in line and not line.startswith("INFO")]


def connections(server: RedisProcess) -> int:
    with server.client() as client:
        return len(client.client_list()) - 1


async def leave(clients: list[PythonClient | NodeClient]) -> None:
    for client in clients:
        await client.disconnect()


async def restart(server: RedisProcess, seconds: float) -> None:
    server.kill()
    await asyncio.sleep(seconds)
    await asyncio.to_thread(server.start)


async def freeze(server: RedisProcess, seconds: float) -> None:
    server.freeze()
    await asyncio.sleep(seconds)
    server.thaw()


Fault = Callable[[RedisProcess], Awaitable[None]]
FAULTS: dict[str, Fault] = {
    "killed": lambda server: restart(server, 10.0 if LONG else 2.0),
    "frozen": lambda server: freeze(server, 14.0 if LONG else 2.5),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_nothing_is_lost_or_doubled_when_redis_is(
    processes: Cluster, durable: RedisProcess, node: Node, fault: str
) -> None:
    nodes = [await processes.start(), await processes.start()]
    clients = await connect(nodes, node)
    before = connections(durable)
    async with Load(nodes) as load:
        await load.more()
        await FAULTS[fault](durable)
        back = time.monotonic()
        await load.more()
        assert load.last_refusal - back < RECOVERY
    assert load.refused > 0
    assert load.slowest < TIMEOUT + SLACK
    await check_that_nothing_is_lost_or_doubled(clients, load)
    assert [resyncs(client) for client in clients] == [[]] * 4
    await until(lambda: connections(durable) == before)
    for each in nodes:
        assert len(outages(each)) <= 1, outages(each)
    await leave(clients)


async def test_nothing_is_lost_or_doubled_when_every_connection_is_killed(
    processes: Cluster, durable: RedisProcess, node: Node
) -> None:
    nodes = [await processes.start(), await processes.start()]
    clients = await connect(nodes, node)
    before = connections(durable)
    async with Load(nodes) as load:
        kills = 50 if LONG else 8
        for _ in range(kills):
            await load.more(10)
            durable.kill_connections()
        await load.more()
    assert load.slowest < TIMEOUT + SLACK
    await check_that_nothing_is_lost_or_doubled(clients, load)
    await until(lambda: connections(durable) == before)
    for each in nodes:
        assert len(outages(each)) <= kills, outages(each)
        assert "Traceback" not in each.process.output
    await leave(clients)


async def test_clients_are_told_when_redis_was_flushed(processes: Cluster, durable: RedisProcess, node: Node) -> None:
    nodes = [await processes.start(), await processes.start()]
    clients = await connect(nodes, node)
    async with Load(nodes) as load:
        await load.more()
        with durable.client() as client:
            client.flushall()
        await load.more()
    for each in clients:
        await until(functools.partial(resyncs, each))
        assert resyncs(each) == [{"room": None}]
    # The keys are lost too, but no broadcast was in doubt.
    await check_that_nothing_is_lost_or_doubled(clients, load)
    await leave(clients)


async def test_clients_are_told_when_redis_comes_back_without_its_data(tmp_path: Path, node: Node) -> None:
    with redis_server() as server:
        async with Cluster(tmp_path, server.url) as cluster:
            nodes = [await cluster.start(), await cluster.start()]
            clients = await connect(nodes, node)
            async with Load(nodes) as load:
                await load.more()
                await restart(server, 0.5)
                await load.more()
            for client in clients:
                await until(functools.partial(resyncs, client))
                assert resyncs(client) == [{"room": None}]
                assert len(news(client)) == len(set(news(client)))
            await leave(clients)


async def test_a_process_that_is_cut_off_goes_on_with_local(
    processes: Cluster, durable: RedisProcess, node: Node
) -> None:
    async with redis_proxy(durable.socket) as proxy:
        nodes = [
            await processes.start(MEW_ON_BROKER_DOWN="local", MEW_HISTORY_SIZE="100000"),
            await processes.start(MEW_ON_BROKER_DOWN="local", MEW_HISTORY_SIZE="100000", MEW_REDIS_URL=proxy.url),
        ]
        clients = await connect(nodes, node)
        async with Load(nodes) as load:
            await load.more()
            proxy.refusing = True
            proxy.cut()
            await load.more(80)
            await asyncio.sleep(10.0 if LONG else 1.0)
            proxy.refusing = False
            await load.more()
        assert load.refused == 0
        assert load.slowest < TIMEOUT + SLACK
        accepted = sorted(load.accepted)
        for client in clients:
            with contextlib.suppress(TimeoutError):
                await until(functools.partial(has_as_many, client, accepted))
            assert sorted(news(client)) == accepted
            for publisher in "01":  # all clients see the order of the publishing process
                numbers = [int(name[2:]) for name in news(client) if name[0] == publisher]
                assert numbers == sorted(numbers)
            assert client.disconnects == []
            assert resyncs(client) == []
        assert len(outages(nodes[1])) <= 1, outages(nodes[1])
        assert outages(nodes[0]) == []
        await leave(clients)


async def test_a_broadcast_of_33_megabytes_is_refused_at_the_publisher(processes: Cluster) -> None:
    first, second = await processes.start(), await processes.start()
    client = await second.connect("ada")
    await client.call("join", "lobby")
    async with httpx.AsyncClient(timeout=60) as http:
        body = {"method": "broadcast_to_room", "arguments": ["lobby", "large", "x" * 33_000_000], "options": {}}
        response = await http.post(first.url + "/call", json=body)
    assert response.json()["error"] == "PayloadTooLarge"
    await first.call("broadcast_to_room", "lobby", "small", "x")
    assert (await client.expect("small")).args == ["x"]
    assert client.disconnects == []
    await client.disconnect()


def token_of(user_id: str, jti: str) -> str:
    return create_token(user_id, Settings(jwt_secret=SECRET), jti=jti)


async def test_three_nodes_cut_the_token_one_of_them_after_it_was_cut_off_from_redis(
    processes: Cluster, durable: RedisProcess
) -> None:
    async with redis_proxy(durable.socket) as proxy:
        # The history of the node that is cut off is so short that it cannot recover the command from it.
        revoking, connected = await processes.start(), await processes.start()
        cut_off = await processes.start(MEW_REDIS_URL=proxy.url, MEW_ON_BROKER_DOWN="local", MEW_HISTORY_TTL="0.1")
        nodes = (revoking, connected, cut_off)
        revoked = [await node.connect("ada", token=token_of("ada", "j1")) for node in nodes]
        kept = [await node.connect("ada", token=token_of("ada", "j2")) for node in nodes]
        proxy.refusing = True
        proxy.cut()
        await until(lambda: "connecting again" in cut_off.process.output)

        before = time.monotonic()
        await revoking.call("revoke_token", "j1")
        for client in revoked[:2]:
            await client.disconnection()
        assert time.monotonic() - before < 1
        assert not revoked[2].disconnects

        proxy.refusing = False
        await until(lambda: "Redis: connected" in cut_off.process.output.rpartition("connecting again")[2])
        before = time.monotonic()
        await revoked[2].disconnection()
        assert time.monotonic() - before < 1
        for node in nodes:
            with pytest.raises(ConnectRefused):
                await node.connect("ada", token=token_of("ada", "j1"))
        for client in kept:
            await client.disconnect()
