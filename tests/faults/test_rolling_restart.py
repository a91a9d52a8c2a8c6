"""Processes behind one port that are replaced one after the other, while clients are connected and messages published.

The short form runs with the suite. `make test-faults` runs the long form: `FAULTS=long`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import re
import signal
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from asgi_realtime import Settings, create_token
from asgi_realtime.lifecycle.batches import AT_ONCE, PAUSE
from tests.support.cluster import SECRET, Cluster
from tests.support.node_client import Node, NodeClient
from tests.support.program import program
from tests.support.redis_server import RedisProcess
from tests.support.rolling_app import shared_port
from tests.support.waiting import until

LONG = os.environ.get("FAULTS") == "long"
CLIENTS, ROOMS, NODES = (2000, 20, 3) if LONG else (300, 4, 2)
REPLACED = NODES if LONG else 1
STOCK = 6 if LONG else 2
"""Clients of each library."""
PATIENCE = 100.0

pytestmark = pytest.mark.timeout(600 if LONG else 120)


class Follower:
    """A client of the library `websockets` that reconnects by the library's own iterator."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._token = create_token(name, Settings(jwt_secret=SECRET))
        self.connections: list[list[int]] = []
        self.codes: list[int | None] = []

    async def run(self) -> None:
        """Stay connected until this is cancelled."""
        async for websocket in connect(f"{self._url}?token={self._token}"):
            self.connections.append([])
            try:
                async for message in websocket:
                    found = re.search(r'"news","data":(\d+)', str(message))
                    if found is not None:
                        self.connections[-1].append(int(found[1]))
            except ConnectionClosed:
                pass
            self.codes.append(websocket.close_code)

    def has_heard(self, number: int) -> bool:
        """Whether this number has come on the last connection."""
        return number in self.connections[-1]


def heard(client: NodeClient) -> list[list[int]]:
    """The numbers that a client of npm received on each of its connections."""
    ends = [len(ended.seen) for ended in client.disconnects]
    parts = [client.events[start:end] for start, end in zip([0, *ends], [*ends, None], strict=True)]
    return [[int(each.args[0]) for each in part if each.event == "news"] for part in parts]


def has_heard(client: NodeClient, number: int) -> bool:
    return number in heard(client)[-1]


def check_gapless(connections: list[list[int]]) -> None:
    """Fail if a connection missed a message between its first and its last, or got one twice."""
    for numbers in connections:
        if numbers:
            assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def test_clients_come_back_in_batches_and_nothing_is_doubled(
    tmp_path: Path, redis_process: RedisProcess, node: Node, record_property: Any
) -> None:
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(shared_port(0)).getsockname()[1]
        cluster = Cluster(tmp_path, redis_process.url, "tests.support.rolling_app")
        async with cluster, contextlib.AsyncExitStack() as tasks:
            nodes = [await cluster.start(PORT=str(port)) for _ in range(NODES)]
            cluster.set_rooms({f"node{number}": {"room0": None} for number in range(STOCK)})
            settings = Settings(jwt_secret=SECRET)
            stock = [
                await node.connect(
                    f"http://127.0.0.1:{port}",
                    auth={"token": create_token(f"node{number}", settings)},
                    transports=["websocket"],
                    reconnection=True,
                )
                for number in range(STOCK)
            ]
            followers = [Follower(f"ws://127.0.0.1:{port}/ws", f"follower{number}") for number in range(STOCK)]
            for follower in followers:
                task = asyncio.create_task(follower.run())
                tasks.push_async_callback(_ended, task)
            crowd = await tasks.enter_async_context(
                program(
                    "tests.support.crowd.rolling",
                    port=port,
                    clients=CLIENTS,
                    rooms=ROOMS,
                    followed=[["/ws", "news"]],
                    pause=1.0 if LONG else 0.2,
                    secret=SECRET,
                )
            )
            await crowd.result(PATIENCE)
            for number in range(REPLACED):
                nodes[number].process.signal(signal.SIGTERM)
                await nodes[number].process.ended()
                print("stopped", re.findall(r"late by .* s", nodes[number].process.output))
                nodes[number] = await cluster.start(PORT=str(port))
                crowd.tell("gather")
                news = await crowd.result(PATIENCE)
                print(news)
                assert news["codes"] == {"1012": news["closed"]}
                if LONG:
                    batches = -(-news["closed"] // AT_ONCE)
                    assert news["spread"] > (batches - 1) * PAUSE / 2  # the first may be read late
                assert set(news["refused"]) <= {"503"}
            crowd.tell("finish")
            summary = await crowd.result(PATIENCE)
            print(summary)
            assert set(summary["statuses"]) == {"200"}
            assert (summary["doubled"], summary["gaps"], summary["early"], summary["unfinished"]) == (0, 0, 0, 0)
            last = summary["published"]["/ room0"]
            for client in stock:
                await until(functools.partial(has_heard, client, last), seconds=10)
                check_gapless(heard(client))
            last = summary["published"]["/ws news"]
            for follower in followers:
                await until(functools.partial(follower.has_heard, last), seconds=10)
                check_gapless(follower.connections)
                assert set(follower.codes) <= {1012}
            for each in nodes:
                assert "Traceback" not in each.process.output
            for client in stock:
                await client.disconnect()


async def _ended(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
