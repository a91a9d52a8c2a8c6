"""The cluster example: three processes behind one port, as `make demo-cluster` starts them."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import socketio

USERS = ("alice", "bob", "carol", "alice", "bob", "carol")


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        **os.environ,
        "PORT": str(port),
        "DATABASE_URL": f"sqlite:///{tmp_path}/mew.db",
    }
    with (tmp_path / "log").open("wb") as log:
        # In its own process group, so that all its processes can be ended.
        process = subprocess.Popen(
            [sys.executable, "-m", "examples.cluster"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        found = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                answer = httpx.get(f"{found}/nodes.json").json()
                if answer["complete"] and len(answer["nodes"]) == 3:
                    break
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            if time.monotonic() > deadline or process.poll() is not None:
                raise RuntimeError((tmp_path / "log").read_text())
            time.sleep(0.1)
        yield found
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


async def test_messages_reach_the_clients_of_every_process(url: str) -> None:
    received: list[asyncio.Queue[str]] = []
    clients = []
    async with httpx.AsyncClient(base_url=url) as api:
        tokens = [(await api.post("/dev/token", json={"userId": user})).json()["token"] for user in USERS]
        for token in tokens:
            client, queue = socketio.AsyncClient(), asyncio.Queue[str]()
            client.on("MESSAGE_CREATE", lambda data, queue=queue: queue.put_nowait(data["content"]))
            await client.connect(url, auth={"token": token}, wait_timeout=10)
            clients.append(client)
            received.append(queue)
        nodes = (await api.get("/nodes.json")).json()
        assert nodes["complete"]
        assert sum(node["connections"] for node in nodes["nodes"]) == len(USERS)

        headers = {"authorization": f"Bearer {tokens[0]}"}
        [server, *_] = (await api.get("/servers", headers=headers)).json()
        [channel, *_] = (await api.get(f"/servers/{server['id']}/channels", headers=headers)).json()
        for number in range(10):
            sent = await api.post(
                f"/channels/{channel['id']}/messages", headers=headers, json={"content": f"message {number}"}
            )
            assert sent.status_code == 201
        for queue in received:
            async with asyncio.timeout(10):
                assert [await queue.get() for _ in range(10)] == [f"message {number}" for number in range(10)]
    for client in clients:
        await client.disconnect()
