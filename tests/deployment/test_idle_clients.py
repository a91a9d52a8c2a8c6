"""Many idle clients behind nginx with the configuration of docs/operations/deployment.md.

The short form runs with the suite. `make test-faults` runs the long form: `FAULTS=long`.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.deployed_clients import SETTINGS, token
from tests.support.program import program
from tests.support.proxies import nginx
from tests.support.raw_engineio import raw_client
from tests.support.servers import LiveServer
from tests.support.target_process import target_process

LONG = os.environ.get("FAULTS") == "long"
CLIENTS = 10_000 if LONG else 200
PINGS = 4
"""Heartbeats for which all clients stay. They take longer than nginx waits."""
INTERVAL, TIMEOUT = ("8", "20s") if LONG else ("0.7", "2s")
"""Seconds between two heartbeats, and nginx's time limit."""

ENVIRON = {
    "MEW_JWT_SECRET": SETTINGS.jwt_secret or "",
    "MEW_PING_INTERVAL": INTERVAL,
    "MEW_SESSIONS_PER_ADDRESS": "20000",
}

pytestmark = pytest.mark.timeout(900 if LONG else 60)


async def test_idle_clients_stay_connected(tmp_path: Path) -> None:
    arguments = ("tests.support.deployed_app:app", "--port", "0", "--backlog", "4096")
    async with (
        target_process(tmp_path, *arguments, module="uvicorn", environ=ENVIRON) as process,
        nginx(
            tmp_path, process.server.port, changes={"proxy_read_timeout 60s;": f"proxy_read_timeout {TIMEOUT};"}
        ) as port,
        program(
            "tests.support.crowd.idling", ports=[port], clients=CLIENTS, rooms=10, secret=SETTINGS.jwt_secret
        ) as crowd,
    ):
        before = await crowd.result(600 if LONG else 40)
        async with raw_client(LiveServer(port, process.stop), "websocket") as client:
            await client.connect({"token": token()})
            while client.pings < PINGS:
                assert await client.receive_packet() == "2"
                client.pings += 1
                await client.pong()
        crowd.tell("ended?")
        after = await crowd.result(60)
        assert (before["ended"], after["ended"], after["clients"]) == ({}, {}, CLIENTS)
        assert "worker_connections are not enough" not in (tmp_path / "nginx.log").read_text()
