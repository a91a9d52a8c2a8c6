"""What processes ask of Redis while their clients do nothing.

The short form runs with the suite. `make test-faults` runs the long form: `FAULTS=long`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.cluster import SECRET, Cluster
from tests.support.program import program
from tests.support.redis_server import redis_server

LONG = os.environ.get("FAULTS") == "long"
NODES, CLIENTS, ROOMS = (3, 10_000, 1_000) if LONG else (2, 20, 10)
SECONDS = 60 if LONG else 6
SETTLING = 15 if LONG else 0
"""Seconds until the processes have unsubscribed from the rooms of clients that had to reconnect."""
MOST = 5.0
"""Commands per second of one process, those within scripts included."""
OF_THE_TEST = ("info", "config|resetstat")

pytestmark = pytest.mark.timeout(900 if LONG else 90)


def commands(client: redis.Redis) -> Mapping[str, int]:
    """How often each command was called."""
    found: Any = client.info("commandstats")
    calls = {name.removeprefix("cmdstat_"): int(each["calls"]) for name, each in found.items()}
    return {name: number for name, number in calls.items() if name not in OF_THE_TEST}


async def test_idle_clients_cost_redis_almost_nothing(tmp_path: Path) -> None:
    with redis_server() as server, server.client() as client:
        async with Cluster(tmp_path, server.url) as cluster:
            # It is not about how fast clients can connect, so a busy machine may take its time.
            nodes = [await cluster.start(MEW_PUBLISH_TIMEOUT="10") for _ in range(NODES)]
            async with program(
                "tests.support.crowd.idling",
                ports=[node.process.server.port for node in nodes],
                clients=CLIENTS,
                rooms=ROOMS,
                secret=SECRET,
            ) as crowd:
                before = await crowd.result(800 if LONG else 60)
                await asyncio.sleep(SETTLING)
                client.config_resetstat()
                cpu = [node.process.cpu_seconds for node in nodes]
                await asyncio.sleep(SECONDS)
                found = commands(client)
                used = [node.process.cpu_seconds - each for node, each in zip(nodes, cpu, strict=True)]
                crowd.tell("ended?")
                after = await crowd.result(60)
            print(found, [f"{100 * each / SECONDS:.2f} % of a processor" for each in used])
            assert after["ended"] == before["ended"]  # no client was lost
            assert found["evalsha"] > 0
            assert sum(found.values()) <= MOST * NODES * SECONDS, found
