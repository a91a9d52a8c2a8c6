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
from asgi_realtime.runtime.batches import AT_ONCE, PAUSE
from tests.support.cluster import SECRET, Cluster
from tests.support.cluster import Node as ServerNode
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


REFUSALS = {
    "503 None ",
    "101 1012 server restart",
    "None None ",
}
"""How a client may be refused that comes back too early: by a process that stops, or by a port without a listener. All
of them mean that it is to try again."""


class Follower:
    """A client of the library `websockets` that reconnects by the library's own iterator."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._token = create_token(name, Settings(jwt_secret=SECRET))
        self.connections: list[list[int]] = []
        self.codes: list[int | None] = []
        self.is_there = False
        """Whether it is connected and in its room."""

    async def run(self) -> None:
        """Stay connected until this is cancelled."""
        async for websocket in connect(f"{self._url}?token={self._token}"):
            self.connections.append([])
            try:
                async for message in websocket:
                    self.is_there = True  # the first message is `auth_success`
                    found = re.search(r'"news","data":(\d+)', str(message))
                    if found is not None:
                        self.connections[-1].append(int(found[1]))
            except ConnectionClosed:
                pass
            self.is_there = False
            self.codes.append(websocket.close_code)

    def has_heard(self, number: int) -> bool:
        """Whether this number has come on the last connection."""
        return number in self.connections[-1]


def heard(client: NodeClient) -> list[list[int]]:
    """The numbers that a client of npm received on each of its connections."""
    ends = [len(ended.seen) for ended in client.disconnects]
    parts = [client.events[start:end] for start, end in zip([0, *ends], [*ends, None], strict=True)]
    return [[int(each.args[0]) for each in part if each.event == "news"] for part in parts]


def is_there(client: NodeClient | Follower) -> bool:
    return client.connected if isinstance(client, NodeClient) else client.is_there


def outages(nodes: list[ServerNode]) -> list[str]:
    """The lines of all logs about something that went wrong."""
    lines = [line for each in nodes for line in each.process.output.splitlines()]
    return [line for line in lines if line.startswith(("WARNING", "ERROR"))]


def has_heard(client: NodeClient, number: int) -> bool:
    return number in heard(client)[-1]


def check_gapless(connections: list[list[int]]) -> None:
    """Fail if a connection missed a message between its first and its last, or got one twice."""
    for numbers in connections:
        if numbers:
            assert numbers == list(range(numbers[0], numbers[-1] + 1))


async def connect_stock(node: Node, url: str) -> list[NodeClient]:
    """Connect clients of npm that reconnect by themselves."""
    settings = Settings(jwt_secret=SECRET)
    return [
        await node.connect(
            url,
            auth={"token": create_token(f"node{number}", settings)},
            transports=["websocket"],
            reconnection=True,
        )
        for number in range(STOCK)
    ]


def check_restart(news: dict[str, Any], nodes: list[ServerNode]) -> None:
    """Check how the clients of a process were closed, and how they came back."""
    assert news["codes"] == {"1012": news["closed"]}
    if LONG:
        batches = -(-news["closed"] // AT_ONCE)
        assert news["spread"] > (batches - 1) * PAUSE / 2  # the first may be read late
    assert set(news["refused"]) <= REFUSALS, outages(nodes)


async def check_libraries(stock: list[NodeClient], followers: list[Follower], published: dict[str, int]) -> None:
    """Check what the clients of the libraries received, when the last message has arrived."""
    for client in stock:
        await until(functools.partial(has_heard, client, published["/ room0"]), seconds=10)
        check_gapless(heard(client))
    for follower in followers:
        await until(functools.partial(follower.has_heard, published["/ws news"]), seconds=10)
        check_gapless(follower.connections)
        assert set(follower.codes) <= {1012}


async def test_clients_come_back_in_batches_and_nothing_is_doubled(
    tmp_path: Path, redis_process: RedisProcess, node: Node
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        port = stack.enter_context(shared_port(0)).getsockname()[1]
        cluster = await stack.enter_async_context(Cluster(tmp_path, redis_process.url, "tests.support.rolling_app"))
        cluster.set_rooms({f"node{number}": {"room0": None} for number in range(STOCK)})
        # A busy machine may take its time. Every refusal comes from the restart.
        environ = {"PORT": str(port), "MEW_PUBLISH_TIMEOUT": "10"}
        nodes = [await cluster.start(**environ) for _ in range(NODES)]
        stock = await connect_stock(node, f"http://127.0.0.1:{port}")
        followers = [Follower(f"ws://127.0.0.1:{port}/ws", f"follower{number}") for number in range(STOCK)]
        for follower in followers:
            stack.push_async_callback(_end, asyncio.create_task(follower.run()))
        crowd = await stack.enter_async_context(
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
            nodes[number] = await cluster.start(**environ)
            crowd.tell("gather")
            news = await crowd.result(PATIENCE)
            print(news)
            check_restart(news, nodes)
        # The libraries wait longer between their attempts than the clients of the crowd.
        both: list[NodeClient | Follower] = [*stock, *followers]
        for client in both:
            await until(functools.partial(is_there, client), seconds=60)
        crowd.tell("finish")
        summary = await crowd.result(PATIENCE)
        print(summary)
        assert set(summary["statuses"]) == {"200"}
        assert (summary["doubled"], summary["gaps"], summary["early"], summary["unfinished"]) == (0, 0, 0, 0)
        await check_libraries(stock, followers, summary["published"])
        assert all("Traceback" not in each.process.output for each in nodes)
        for each in stock:
            await each.disconnect()


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
