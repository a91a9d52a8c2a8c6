"""`--workers 4` with stock clients. Each connection may reach any of the processes."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest

from asgi_realtime import Settings, create_token
from tests.support.cluster import SECRET, Cluster
from tests.support.node_client import Node, NodeClient
from tests.support.python_client import PythonClient
from tests.support.target_process import target_process
from tests.support.waiting import until

CLIENTS = 200
EVENTS = 40
SERVERS = {
    "uvicorn": ["uvicorn", "tests.support.cluster_app:app", "--workers", "4", "--port", "0"],
    "hypercorn": ["hypercorn", "tests.support.cluster_app:app", "--workers", "4", "--bind", "127.0.0.1:0"],
}
READY = {"uvicorn": "Application startup complete", "hypercorn": "Running on"}
"""What each worker prints when it is ready."""
TRANSPORTS = (["polling"], ["polling", "websocket"], ["websocket"])


@pytest.mark.parametrize("server", SERVERS)
async def test_two_hundred_clients_are_served_by_four_workers(
    server: str, cluster: Cluster, tmp_path: Path, node: Node
) -> None:
    module, *arguments = SERVERS[server]
    token = create_token("ann", Settings(jwt_secret=SECRET))
    async with (
        target_process(
            tmp_path, *arguments, module=module, environ=cluster.environ | {"MEW_CONNECTIONS_PER_USER": "999"}
        ) as process,
        contextlib.AsyncExitStack() as stack,
    ):
        url = process.server.url
        await until(lambda: process.output.count(READY[server]) == 4)
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
    assert "Traceback" not in process.output
    assert " 400" not in process.output
