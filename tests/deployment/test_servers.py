"""The commands of docs/operations/deployment.md for each server, with stock clients, until SIGTERM."""

from __future__ import annotations

import asyncio
import re
import secrets
import shlex
import signal
import time
from pathlib import Path
from typing import Final

import pytest
from websockets.exceptions import ConnectionClosed

from tests.support.deployed_clients import SETTINGS, deployed_clients
from tests.support.node_client import Node
from tests.support.paths import DOCS
from tests.support.redis_server import RedisProcess, free_port
from tests.support.target_process import target_process
from tests.support.waiting import until

APP: Final = "tests.support.deployed_app:app"
PAGE: Final = (DOCS / "operations/deployment.md").read_text("utf-8")
SECTION: Final = PAGE.partition("\n## A server\n")[2].partition("\n## ")[0]
COMMANDS: Final = {
    line.split()[0]: shlex.split(line)[1:] for line in re.findall(r"^\$ (\w+ app:app .*)$", SECTION, re.MULTILINE)
}
ROWS: Final = {
    name: (float(seconds), int(status), address == "yes")
    for name, seconds, status, address in re.findall(
        r"^\| (\w+) \| ([\d.]+) s \| (\d+) \| (\w+)\W.*\|$", SECTION, re.MULTILINE
    )
}
"""Seconds until a server has stopped, its exit status, and whether it takes an address from `X-Forwarded-For`."""
READY: Final = {
    "uvicorn": "Application startup complete",
    "gunicorn": "Application startup complete",
    "hypercorn": "Running on",
    "granian": "Started worker-",
    "daphne": "Listening on TCP address",
}
"""What each worker prints when it is ready."""


def test_the_table_has_a_row_for_each_command() -> None:
    assert COMMANDS.keys() == ROWS.keys() == READY.keys()


@pytest.mark.parametrize("server", READY)
async def test_a_server_serves_stock_clients_and_stops(
    server: str, node: Node, redis_process: RedisProcess, tmp_path: Path
) -> None:
    command = " ".join(COMMANDS[server]).replace("app:app", APP).replace("0.0.0.0", "127.0.0.1")
    arguments = command.replace("8000", str(free_port())).split()
    workers = int(arguments[arguments.index("--workers") + 1]) if "--workers" in arguments else 1
    seconds, status, knows_address = ROWS[server]
    environ = {
        "MEW_JWT_SECRET": SETTINGS.jwt_secret or "",
        "MEW_REDIS_URL": redis_process.url,
        "MEW_REDIS_PREFIX": f"test-{secrets.token_hex(4)}",
    }
    async with target_process(tmp_path, *arguments, module=server, environ=environ) as process:
        await until(lambda: process.output.count(READY[server]) == workers)
        async with deployed_clients(process.server.url, node) as clients:
            await clients.check(1)
            answer = await clients.http.get("/who", headers={"X-Forwarded-For": "203.0.113.7"})
            assert answer.json()["address"] == ("203.0.113.7" if knows_address else "127.0.0.1")
            begun = time.monotonic()
            process.signal(signal.SIGTERM)
            for socket in clients.sockets:
                assert await socket.disconnection(timeout=seconds) in ("transport close", "transport error")
            with pytest.raises(ConnectionClosed):
                async with asyncio.timeout(seconds):
                    while True:
                        await clients.news.recv()
            assert await process.ended() == status
            assert time.monotonic() - begun < seconds
        assert "Traceback" not in process.output
