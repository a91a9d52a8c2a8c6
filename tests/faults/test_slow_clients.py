"""A client that does not read costs its limit, and nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import httpx
import pytest

from asgi_realtime import Limits
from tests.faults.process import target_process
from tests.faults.stalled import stalled_client
from tests.faults.target import PATIENCE, Target
from tests.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.wire.raw import RawClient, raw_client, receive_json

MEBIBYTE = 1 << 20
EVENTS = 10_000
AT_ONCE = 250
"""So many are sent before the readers, who share one process here, have their turn."""
READERS = 3


async def entered(client: RawClient, name: str) -> RawClient:
    """Connect to `/` as somebody."""
    await client.send(f'0{{"name":"{name}"}}')
    await receive_json(client, "0")
    return client


async def events(client: RawClient, count: int) -> list[int]:
    """The numbers of the next events."""
    return [(await receive_json(client, "2"))[1][0] for _ in range(count)]


@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto"])
async def test_a_client_that_never_reads_is_closed_at_its_limit_and_the_others_hear_everything(
    tmp_path: Path, implementation: str
) -> None:
    async with (
        target_process(tmp_path, "--ws", implementation) as process,
        contextlib.AsyncExitStack() as stack,
        httpx.AsyncClient(base_url=process.server.url, timeout=30) as http,
    ):
        readers = [
            await entered(await stack.enter_async_context(raw_client(process.server, "websocket")), f"reader {number}")
            for number in range(READERS)
        ]
        polling = await entered(await stack.enter_async_context(raw_client(process.server, "polling")), "polling")
        for number in range(4):
            await stack.enter_async_context(stalled_client(process.server, f"stalled {number}"))
        before = process.forget_peak()
        for _ in range(EVENTS // AT_ONCE):
            (await http.post("/broadcast", json={"count": AT_ONCE, "bytes": 1000})).raise_for_status()
            for client in (*readers, polling):
                assert await events(client, AT_ONCE) == list(range(AT_ONCE))
        # Each of the four may cost its 1 MiB, as much again that its server and socket hold; history is kept besides.
        assert process.peak - before < 24 * MEBIBYTE
        state = (await http.get("/state")).json()
        assert sorted(state["left"]) == [[f"stalled {number}", "too slow"] for number in range(4)]
        assert state["sessions"] == state["connections"] == READERS + 1
    assert "Traceback" not in process.output
