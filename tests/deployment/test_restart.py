"""Two processes behind a real proxy that are replaced while clients are connected and requests are made.

The short form replaces one of them, behind nginx. `make test-faults` runs the long form (`FAULTS=long`), which replaces
both, and runs behind HAProxy too.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import secrets
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from tests.support.deployed_clients import PATIENCE, SETTINGS, deployed_clients
from tests.support.node_client import Node
from tests.support.proxies import Proxy, haproxy, nginx
from tests.support.redis_server import RedisProcess, free_port
from tests.support.target_process import Process, target_process
from tests.support.waiting import until

LONG = os.environ.get("FAULTS") == "long"
DELAYS: Mapping[Proxy, str] = {nginx: "0", haproxy: "2"}
"""`MEW_SHUTDOWN_DELAY`: only HAProxy looks whether a process is ready."""
APP = "tests.support.deployed_app:app"


class Processes:
    """Processes of the app on ports of their own, joined by Redis."""

    def __init__(self, stack: contextlib.AsyncExitStack, folder: Path, redis_url: str, delay: str) -> None:
        self._stack = stack
        self._folder = folder
        self._started = 0
        self._environ = {
            "MEW_JWT_SECRET": SETTINGS.jwt_secret or "",
            "MEW_REDIS_URL": redis_url,
            "MEW_REDIS_PREFIX": f"test-{secrets.token_hex(4)}",
            "MEW_SHUTDOWN_DELAY": delay,
        }

    async def start(self, port: int) -> Process:
        self._started += 1
        folder = self._folder / f"process{self._started}"
        folder.mkdir()
        return await self._stack.enter_async_context(
            target_process(folder, APP, "--port", str(port), module="uvicorn", environ=self._environ)
        )


class Requests:
    """Requests to the host, one after another, each on a connection of its own every second time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.failures: Counter[str] = Counter()
        self.answered_by: Counter[int] = Counter()

    def has_answer_of(self, process: int) -> bool:
        """Whether the process with this id has answered."""
        return process in self.answered_by

    async def run(self) -> None:
        """Ask until this is cancelled."""
        async with httpx.AsyncClient(base_url=self._url, timeout=PATIENCE) as http:
            while True:
                for headers in ({}, {"Connection": "close"}):
                    try:
                        answer = await http.get("/who", headers=headers)
                    except httpx.HTTPError as error:
                        self.failures[repr(error)] += 1
                        continue
                    if answer.status_code == 200:
                        self.answered_by[answer.json()["process"]] += 1
                    else:
                        self.failures[str(answer.status_code)] += 1


@pytest.mark.parametrize("proxy", [nginx, haproxy] if LONG else [nginx])
async def test_no_request_fails_and_stock_clients_recover(
    proxy: Proxy, node: Node, redis_process: RedisProcess, tmp_path: Path
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        processes = Processes(stack, tmp_path, redis_process.url, DELAYS[proxy])
        ports = [free_port(), free_port()]
        running = await asyncio.gather(*map(processes.start, ports))
        url = f"http://127.0.0.1:{await stack.enter_async_context(proxy(tmp_path, *ports))}"
        clients = await stack.enter_async_context(deployed_clients(url, node, reconnection=True, reconnectionDelay=100))
        requests = Requests(url)
        asking = asyncio.create_task(requests.run())
        for number, port in enumerate(ports[: 2 if LONG else 1]):
            running[number].signal(signal.SIGTERM)
            await running[number].ended()
            # Through the proxy: the other process publishes it, while some clients are not connected.
            assert (await clients.http.post("/broadcast", json=number)).status_code == 204
            running[number] = await processes.start(port)
            # The proxy may not use it for a moment. If the next one stopped then, there would be none.
            new = (await clients.http.get(f"http://127.0.0.1:{port}/who")).json()["process"]
            await until(functools.partial(requests.has_answer_of, new))
        asking.cancel()
        await asyncio.wait([asking])
        for socket in clients.sockets:
            for number in range(2 if LONG else 1):
                assert (await socket.expect("news", timeout=PATIENCE)).args == [number]
            assert socket.recovered or not socket.disconnects
        assert any(socket.disconnects for socket in clients.sockets)
        assert not requests.failures
