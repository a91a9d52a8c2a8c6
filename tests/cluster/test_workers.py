"""Several workers with stock clients. Each connection may reach any of the processes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import httpx
import pytest

from asgi_realtime import Settings, create_token
from tests.support.cluster import SECRET, Cluster
from tests.support.node_client import Node, NodeClient
from tests.support.python_client import PythonClient
from tests.support.redis_server import free_port
from tests.support.target_process import target_process
from tests.support.waiting import until

CLIENTS = 200
EVENTS = 40
APP = "tests.support.cluster_app:app"


class Server(NamedTuple):
    """How a server is started with workers."""

    arguments: Sequence[str]
    workers: int
    ready: str
    """What each worker prints when it is ready."""


SHORT = {
    "uvicorn": Server(["uvicorn", APP, "--workers", "4", "--port", "0"], 4, "Application startup complete"),
    "hypercorn": Server(["hypercorn", APP, "--workers", "4", "--bind", "127.0.0.1:0"], 4, "Running on"),
}
GUNICORN = ["gunicorn", APP, "--workers", "3", "--worker-class", "uvicorn_worker.UvicornWorker"]
GUNICORN_PRELOAD = [
    *("gunicorn", APP, "--preload", "--workers", "2", "--worker-class", "uvicorn_worker.UvicornWorker"),
    *("--bind", "127.0.0.1:0"),
]
GRANIAN = ["granian", APP, "--interface", "asgi", "--workers", "3", "--access-log"]
LONG = {
    "gunicorn": Server(
        [*GUNICORN, "--bind", "127.0.0.1:0", "--access-logfile", "-"], 3, "Application startup complete"
    ),
    "granian": Server([*GRANIAN, "--port", str(free_port())], 3, "Started worker-"),
}
SERVERS = SHORT | (LONG if os.environ.get("FAULTS") == "long" else {})
TRANSPORTS = (["polling"], ["polling", "websocket"], ["websocket"])


@pytest.mark.parametrize("server", SERVERS)
async def test_two_hundred_clients_are_served_by_several_workers(
    server: str, cluster: Cluster, tmp_path: Path, node: Node
) -> None:
    (module, *arguments), workers, ready = SERVERS[server]
    token = create_token("ann", Settings(jwt_secret=SECRET))
    environ = cluster.environ | {"MEW_CONNECTIONS_PER_USER": "999"}
    async with target_process(tmp_path, *arguments, module=module, environ=environ) as process:
        url = process.server.url
        await until(lambda: process.output.count(ready) == workers)
        async with contextlib.AsyncExitStack() as stack:
            places = asyncio.Semaphore(20)

            async def connected(number: int) -> NodeClient | PythonClient:
                transports = TRANSPORTS[number % 3]
                async with places:
                    if number % 2:
                        client: NodeClient | PythonClient = PythonClient()
                        await client.connect(url, auth={"token": token}, transports=transports)  # type: ignore[union-attr]
                    else:
                        client = await node.connect(url, auth={"token": token}, transports=transports)
                    stack.push_async_callback(client.disconnect)
                    assert await client.call("join", "lobby")
                return client

            clients = await asyncio.gather(*(connected(number) for number in range(CLIENTS)))
            async with httpx.AsyncClient(timeout=20) as http:
                for number in range(EVENTS):
                    body = {"method": "broadcast_to_room", "arguments": ["lobby", "number", number], "options": {}}
                    assert (await http.post(f"{url}/call", json=body)).status_code == 200
            expected = list(range(EVENTS))
            await until(lambda: all(len(client.events) >= EVENTS for client in clients))
            for client in clients:
                assert [received.args[0] for received in client.events if received.event == "number"] == expected
                assert not client.disconnects
        assert '" 400' not in process.output  # granian logs milliseconds too
    assert "Traceback" not in process.output


async def test_workers_that_are_forked_from_a_loaded_app_answer_for_each_other(
    cluster: Cluster, tmp_path: Path
) -> None:
    module, *arguments = GUNICORN_PRELOAD
    auth = json.dumps({"token": create_token("ann", Settings(jwt_secret=SECRET))})
    sessions: list[str] = []
    async with (
        target_process(tmp_path, *arguments, module=module, environ=cluster.environ) as process,
        httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_keepalive_connections=0)) as http,
    ):
        await until(lambda: process.output.count("Application startup complete") == 2)
        url = f"{process.server.url}/socket.io/?EIO=4&transport=polling"
        async with asyncio.timeout(30):
            while len({session.rpartition(".")[2] for session in sessions}) < 2:  # until both workers have some
                sessions.append(json.loads((await http.get(url)).text[1:])["sid"])
        for session in (sessions[0], sessions[-1]):
            assert (await http.post(f"{url}&sid={session}", content=f"40{auth}")).text == "ok"
            assert (await http.get(f"{url}&sid={session}")).text.startswith('40{"sid":')
            for _ in range(10):  # each on a connection of its own, which either worker may accept
                assert (await http.post(f"{url}&sid={session}", content='42["leave","lobby"]')).text == "ok"
