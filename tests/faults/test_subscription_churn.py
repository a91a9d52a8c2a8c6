"""Clients of three processes enter and leave rooms at a high rate while messages are published to the rooms.

The short form runs with the suite. `make test-faults` runs the long form: `FAULTS=long`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.cluster import SECRET, Cluster
from tests.support.program import program
from tests.support.redis_proxy import redis_proxy
from tests.support.redis_server import RedisProcess

LONG = os.environ.get("FAULTS") == "long"
NODES = 3 if LONG else 2
CLIENTS = 150 if LONG else 40
RATE = 1000 if LONG else 200
PUBLICATIONS = 100
SECONDS = 40 if LONG else 4
LIFETIME = 2.1 if LONG else 0.5
"""In the long form, rooms are entered again just when the processes unsubscribe from them."""
DISTANCE = 0.02
"""Seconds from one process to Redis. So its clients would enter rooms too early if it did not wait for Redis."""

pytestmark = pytest.mark.timeout(300 if LONG else 90)


async def test_clients_hear_a_room_from_their_join_to_their_leave(tmp_path: Path, redis_process: RedisProcess) -> None:
    async with redis_proxy(redis_process.socket) as proxy, Cluster(tmp_path, redis_process.url) as cluster:
        proxy.delay = DISTANCE
        patient = {"MEW_PUBLISH_TIMEOUT": "10"}  # a busy machine may take its time
        nodes = [await cluster.start(**patient, MEW_REDIS_URL=proxy.url)]
        nodes += [await cluster.start(**patient) for _ in range(NODES - 1)]
        async with program(
            "tests.support.crowd.churning",
            ports=[node.process.server.port for node in nodes],
            clients=CLIENTS,
            rate=RATE,
            publications=PUBLICATIONS,
            seconds=SECONDS,
            lifetime=LIFETIME,
            secret=SECRET,
        ) as crowd:
            await crowd.result(60)
            summary = await crowd.result(SECONDS + 60)
        print(summary)
        assert summary["wrong"] == []
        assert set(summary["statuses"]) == {"200"}
        assert summary["counts"]["due"] > 0
        for node in nodes:
            assert "Traceback" not in node.process.output
