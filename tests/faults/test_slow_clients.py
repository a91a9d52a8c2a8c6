"""A client that does not read costs its limit, and nobody else anything."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from tests.faults.clients import entered, numbers, still_answers
from tests.faults.process import target_process
from tests.faults.stalled import StalledClient, stalled_client
from tests.faults.target import Target
from tests.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.wire.raw import TRANSPORTS, TransportName, closing

MEBIBYTE = 1 << 20
EVENTS = 10_000
AT_ONCE = 250
"""So many are sent before the readers, who share one process here, have their turn."""
STALLED = 4


@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto"])
async def test_one_that_never_reads_is_closed_at_its_limit_and_the_others_hear_everything(
    tmp_path: Path, implementation: str
) -> None:
    async with (
        target_process(tmp_path, "--ws", implementation) as process,
        contextlib.AsyncExitStack() as stack,
        httpx.AsyncClient(base_url=process.server.url, timeout=30) as http,
    ):
        reader = await stack.enter_async_context(entered(process.server, "reader"))
        polling = await stack.enter_async_context(entered(process.server, "polling", "polling"))
        for number in range(STALLED):
            await stack.enter_async_context(stalled_client(process.server, f"stalled {number}"))
        before = process.forget_peak()
        for _ in range(EVENTS // AT_ONCE):
            (await http.post("/broadcast", json={"count": AT_ONCE, "bytes": 1000})).raise_for_status()
            for client in (reader, polling):
                assert await numbers(client, AT_ONCE) == list(range(AT_ONCE))
        state = (await http.get("/state")).json()
        assert sorted(state["left"]) == [[f"stalled {number}", "too slow"] for number in range(STALLED)]
        assert state["sessions"] == state["connections"] == 2
        # A MiB for each of the four; the thousand events that history keeps; and what the allocator wastes.
        assert process.peak - before < 16 * MEBIBYTE
    assert "Traceback" not in process.output


async def stalled_for_certain(target: Target) -> None:
    """Broadcast until something waits for the client, which is the only one."""
    (session,) = target.realtime.engineio.sessions.values()
    turns = 0
    while turns < 100:
        if not session.outbox.size:
            turns = 0
            await target.realtime.broadcaster.broadcast_to_room("everybody", "event", "x" * 65_536)
        turns += 1
        await asyncio.sleep(0)
    assert not session.outbox.closed


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_kick_of_a_stalled_one_ends_its_transport_within_a_second(
    serve: Serve, implementation: Implementation
) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    async with stalled_client(server, "stalled") as stalled:
        await stalled_for_certain(target)
        async with asyncio.timeout(1):
            await target.realtime.broadcaster.disconnect_user("stalled")
            await _comes_back(stalled)
            await target.emptied()
        await _comes_back(stalled)
        await stalled.read_to_the_end()
    assert target.gateway.left == [("stalled", "server disconnect")]
    await target.emptied()


async def _comes_back(stalled: StalledClient) -> None:
    """Ask to be let in again, on the same transport."""
    with contextlib.suppress(ConnectionError):
        await stalled.send('40{"name":"stalled"}', '40{"name":"somebody else"}')


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_kicked_transport_cannot_connect_again(serve: Serve, transport: TransportName) -> None:
    target = Target()
    server = await serve(target.app)
    async with entered(server, "kicked", transport) as kicked, entered(server, "another") as another:
        await target.realtime.broadcaster.disconnect_user("kicked")
        with contextlib.suppress(ConnectionClosed):
            await kicked.send('0{"name":"kicked"}', '0{"name":"somebody else"}')
        assert await closing(kicked) == ["1"]
        assert target.state()["connections"] == 1
        await still_answers(another)
    await target.emptied()


async def test_stopping_the_server_does_not_wait_for_one_that_stalls(serve: Serve) -> None:
    target = Target()
    server = await serve(target.app)
    async with stalled_client(server, "stalled"):
        await stalled_for_certain(target)
        async with asyncio.timeout(3):
            await server.stop()
    assert not any(target.state().values())
