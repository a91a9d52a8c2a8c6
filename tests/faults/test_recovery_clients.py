"""Stock JavaScript clients of three versions whose connections, processes and servers fail all the time.

Each client gets every event once and in order, or is told that it has not recovered, in a case that
docs/guides/recovery.md lists. The short form runs with the suite. `make test-faults` runs the long form: `FAULTS=long`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import random
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Coroutine, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from asgi_realtime import Settings, create_token
from tests.support.cluster import SECRET, Cluster, Node
from tests.support.faulty_proxy import FaultyProxy, faulty_proxy
from tests.support.recovery_clients import Connection, RecoveryClients, Report, recovery_clients
from tests.support.redis_server import RedisProcess

LONG = os.environ.get("FAULTS") == "long"
CLIENTS, SECONDS, PAUSE = (200, 180.0, 0.25) if LONG else (12, 2.0, 0.01)
"""Clients, seconds of faults, and seconds between two events: a third of the clients poll for each."""
PROCESSES = (1, 3) if LONG else (3,)
"""One process has no Redis."""
MANY, RESTARTED = 2_000, 3
"""Clients at a rolling restart, and the processes."""
PING_INTERVAL, PING_TIMEOUT = (2.0, 2.0) if LONG else (0.4, 0.4)
RECONNECTING = {"reconnectionDelay": 200, "reconnectionDelayMax": 1_000}
"""Milliseconds: less than the clients' defaults, so that there is more to lose."""
BETWEEN = 10.0 if LONG else 0.3
"""Seconds between two restarts of processes."""
WRITTEN = 0.3
"""Seconds in which a process has written that a client is there, also on a busy machine."""
RARER = 4 if LONG else 1
"""How much rarer connections break than in the short form, in which each breaks every second."""
ROOM = "lobby"

pytestmark = pytest.mark.timeout(600 if LONG else 120)


class Numbers:
    """Publishes numbers to the room, one after the other, through any of the servers."""

    def __init__(self, servers: list[str], pause: float) -> None:
        self.servers = servers
        self._pause = pause
        self.last = 0
        self.ending = False

    async def run(self) -> None:
        """Publish until it is `ending`."""
        async with httpx.AsyncClient(timeout=20) as http:
            while not self.ending:
                await self._publish(http, self.last + 1)
                self.last += 1
                await asyncio.sleep(self._pause)

    async def _publish(self, http: httpx.AsyncClient, number: int) -> None:
        body = {"method": "broadcast_to_room", "arguments": [ROOM, "n", number], "options": {"key": f"n{number}"}}
        while True:
            try:
                answer = await http.post(f"{random.choice(self.servers)}/call", json=body)
            except httpx.TransportError:  # it was killed: another one publishes it, unless it was published
                await asyncio.sleep(0.01)
            else:
                if answer.status_code == 200:
                    return


@contextlib.asynccontextmanager
async def in_background(numbers: Numbers) -> AsyncIterator[None]:
    """Publish within the block."""
    task = asyncio.create_task(numbers.run())
    try:
        yield
    finally:
        numbers.ending = True
        await task


async def drop_connections(proxy: FaultyProxy, chance: random.Random) -> None:
    """Break some connections again and again."""
    while True:
        await asyncio.sleep(chance.uniform(0.1, 0.3) * RARER)
        proxy.drop(chance.choice([0.05, 0.2, 0.5]) / RARER)


async def suspend_clients(clients: RecoveryClients, chance: random.Random) -> None:
    """Suspend all clients again and again, sometimes for longer than the server waits for a pong."""
    longest = PING_INTERVAL + PING_TIMEOUT
    while True:
        await asyncio.sleep(chance.uniform(1.0, 2.0) * longest)
        clients.signal(signal.SIGSTOP)
        try:
            await asyncio.sleep(chance.choice([0.1, 0.3, 1.5]) * longest)
        finally:
            clients.signal(signal.SIGCONT)


class Servers:
    """The processes of the app behind the proxy."""

    def __init__(self, cluster: Cluster, environ: dict[str, str], proxy: FaultyProxy) -> None:
        self._cluster = cluster
        self._environ = environ
        self._proxy = proxy
        self.nodes: list[Node] = []
        self.killed: list[float] = []
        """When processes were killed, as `time.time()`."""
        self._outputs: list[str] = []

    @property
    def output(self) -> str:
        """What all have written."""
        return "".join([*self._outputs, *(node.process.output for node in self.nodes)])

    async def start(self, count: int) -> None:
        """Start processes."""
        started = await asyncio.gather(*(self._cluster.start(**self._environ) for _ in range(count)))
        self.nodes += started
        self._proxy.servers += [node.url for node in started]

    async def replace(self, number: int) -> None:
        """End one process with a signal, and start another. Until it has ended, it gets connections of clients."""
        node = self.nodes.pop(0)
        if number == signal.SIGKILL:
            self.killed.append(time.time())
        node.process.signal(number)
        await node.process.ended()
        self._proxy.servers.remove(node.url)
        self._outputs.append(node.process.output)
        await self.start(1)


async def replace_servers(servers: Servers, chance: random.Random) -> None:
    """Kill processes, and restart all of them one after the other, again and again."""
    while True:
        await servers.replace(signal.SIGKILL)
        await asyncio.sleep(chance.uniform(0.5, 1.0) * BETWEEN)
        for _ in servers.nodes:
            await servers.replace(signal.SIGTERM)
            await asyncio.sleep(chance.uniform(0.5, 1.0) * BETWEEN)


def environ_of(folder: Path) -> dict[str, str]:
    """The variables of each server. Every user is in the room."""
    rooms = folder / "rooms of all.json"
    rooms.write_text("{" + ",".join(f'"user{number}":{{"{ROOM}":null}}' for number in range(MANY)) + "}")
    return {
        "MEW_JWT_SECRET": SECRET,
        "MEW_PING_INTERVAL": str(PING_INTERVAL),
        "MEW_PING_TIMEOUT": str(PING_TIMEOUT),
        "MEW_HISTORY_SIZE": "100000",
        "ROOMS": str(rooms),
    }


def tokens(count: int) -> list[str]:
    """Tokens of different users."""
    settings = Settings(jwt_secret=SECRET)
    return [create_token(f"user{number}", settings) for number in range(count)]


def check_numbers(report: Report, last: int) -> None:
    """Fail if a client lacks a number within a session, got one twice, or got them in another order."""
    before = 0
    for session in report.sessions:
        assert len(session) <= 1, f"a gap or a double: {report}"
        for first, end in session:
            assert first > before, f"a double: {report}"
            before = end
    assert before == last, f"not up to {last}: {report}"


def may_be_new(connection: Connection, before: Connection, killed: Sequence[float]) -> bool:
    """Whether docs/guides/recovery.md lists why a connection has not recovered that followed the one `before`.

    Either it broke while the missed events were being written: another transport was opened since the last connection.
    Or its process was killed before it had written that the client is there.
    """
    return connection.opened > 1 or any(before.at - WRITTEN <= at <= before.at + WRITTEN for at in killed)


def check(reports: Sequence[Report], last: int, killed: Sequence[float] = ()) -> Counter[str]:
    """Fail if a client lacks an event, or has not recovered without a reason. Returns how many have recovered."""
    counts: Counter[str] = Counter()
    for report in reports:
        check_numbers(report, last)
        for before, connection in itertools.pairwise(report.connections):
            counts["recovered" if connection.recovered else "new"] += 1
            assert connection.recovered or may_be_new(connection, before, killed), f"{connection} of {report}"
    print(last, Counter(f"{each.transports} {loss}" for each in reports for loss in each.losses))
    print(Counter(f"{each.version} {each.transports} {one.recovered}" for each in reports for one in each.returns))
    assert {each.version for each in reports} == {"4.6", "4.7", "4.8"}
    return counts


async def suffer(
    proxy: FaultyProxy, clients: RecoveryClients, numbers: Numbers, *others: Coroutine[Any, Any, None]
) -> Sequence[Report]:
    """Publish while everything fails, and then until all clients are back. Returns what they have seen."""
    chance = random.Random(0)
    async with in_background(numbers):
        proxy.broken_upgrades = 0.3
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SECONDS), asyncio.TaskGroup() as faults:
                for fault in (drop_connections(proxy, chance), suspend_clients(clients, chance), *others):
                    faults.create_task(fault)
        proxy.broken_upgrades = 0.0
        await clients.until_received(numbers.last + 1)
    return await clients.until_received(numbers.last)


@pytest.mark.parametrize("processes", PROCESSES)
async def test_each_client_gets_every_event_once_or_is_told(
    processes: int, tmp_path: Path, redis_process: RedisProcess
) -> None:
    environ = environ_of(tmp_path) | ({"MEW_REDIS_URL": ""} if processes == 1 else {})
    async with Cluster(tmp_path, redis_process.url) as cluster, faulty_proxy([], seed=0) as proxy:
        servers = Servers(cluster, environ, proxy)
        await servers.start(processes)
        async with recovery_clients(proxy.url, tokens(CLIENTS), **RECONNECTING) as clients:
            numbers = Numbers(proxy.servers, PAUSE)
            replacing = [replace_servers(servers, random.Random(1))] if processes > 1 else []
            reports = await suffer(proxy, clients, numbers, *replacing)
    counts = check(reports, numbers.last, servers.killed)
    print(dict(proxy.counts), dict(counts))
    assert counts["recovered"] > CLIENTS / 2
    assert counts["new"] <= counts["recovered"] / (4 if LONG else 2)
    assert "Traceback" not in servers.output


if LONG:

    async def test_clients_recover_at_a_rolling_restart(tmp_path: Path, redis_process: RedisProcess) -> None:
        environ = environ_of(tmp_path) | {"MEW_PING_INTERVAL": "25", "MEW_PING_TIMEOUT": "20"}
        async with Cluster(tmp_path, redis_process.url) as cluster, faulty_proxy([], seed=0) as proxy:
            servers = Servers(cluster, environ, proxy)
            await servers.start(RESTARTED)
            async with recovery_clients(proxy.url, tokens(MANY)) as clients:
                numbers = Numbers(proxy.servers, pause=2.0)
                async with in_background(numbers):
                    for _ in range(RESTARTED):
                        await servers.replace(signal.SIGTERM)
                        await clients.until_received(numbers.last + 1)
                reports = await clients.until_received(numbers.last)
        counts = check(reports, numbers.last)
        print(dict(proxy.counts), dict(counts))
        assert counts["recovered"] >= MANY
        assert counts["new"] <= counts["recovered"] / 100
        assert "Traceback" not in servers.output
