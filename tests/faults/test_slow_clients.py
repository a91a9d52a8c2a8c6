"""A client that does not read uses at most its limit, and affects no other client."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from asgi_realtime.gateways.base import Gateway
from tests.support.attackers import entered, numbers, still_answers
from tests.support.raw_engineio import TRANSPORTS, TransportName, read_until_closed
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.stalled_clients import Kind, StalledClient, stalled_client
from tests.support.target_app import Target, TargetGateway, TargetPath
from tests.support.target_process import target_process

MEBIBYTE = 1 << 20
EVENTS = 10_000
AT_ONCE = 250
"""The number of events sent before the readers, which share this process, run again."""
STALLED = 4
LOOP = 2_000
"""This number of events of 1 kB does not fit into an outbox."""
KINDS: tuple[Kind, ...] = ("Socket.IO", "JSON")


@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto", "asgi_realtime.uvicorn:WebSocketProtocol"])
async def test_a_client_that_never_reads_is_closed_at_its_limit_and_the_others_receive_everything(
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
        # 1 MiB for each of the four clients, the thousand events of the history, and the overhead of the allocator.
        assert process.peak - before < 16 * MEBIBYTE
    assert "Traceback" not in process.output


async def fill(target: Target, gateway: Gateway, *, over: bool) -> None:
    """Broadcast to the only client, which does not read, until its outbox has frames, or is too full (`over`)."""
    (connection,) = target.realtime.hub.rooms(gateway.name).everybody
    behind = 0
    while not connection.closed and behind < 100:
        if over or not connection.behind:
            await gateway.broadcaster.broadcast_to_room("everybody", "event", "x" * 65_536)
        else:
            behind += 1  # one round for each write into the buffers of the server
        await asyncio.sleep(0)
    assert connection.closed is over


def gateway_of(target: Target, kind: Kind) -> TargetGateway | TargetPath:
    return target.path if kind == "JSON" else target.gateway


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", KINDS)
async def test_kicking_a_stalled_client_ends_its_transport_within_a_second(
    serve: Serve, implementation: Implementation, kind: Kind
) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    async with stalled_client(server, "stalled", kind) as stalled:
        gateway = gateway_of(target, kind)
        await fill(target, gateway, over=False)
        async with asyncio.timeout(1):
            await gateway.broadcaster.disconnect_user("stalled")
            await _comes_back(stalled)
            await target.emptied()
        await _comes_back(stalled)
        await ended(stalled, implementation)
    assert gateway.left == [("stalled", "server disconnect" if kind == "Socket.IO" else "forced close")]
    await target.emptied()


async def ended(stalled: StalledClient, implementation: Implementation) -> None:
    """Wait for the end of the connection. Hypercorn hides its transport, and ends it only once the client reads."""
    if implementation == "hypercorn":
        await stalled.read_to_the_end()
    else:
        await stalled.cut_off()


async def _comes_back(stalled: StalledClient) -> None:
    """Connect once more on the same transport."""
    with contextlib.suppress(ConnectionError):
        await stalled.send('40{"name":"stalled"}', '{"type":"auth","data":{"name":"another"}}')


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_client_that_never_reads_leaves_nothing_behind(
    serve: Serve, implementation: Implementation, kind: Kind
) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    async with stalled_client(server, "stalled", kind) as stalled:
        gateway = gateway_of(target, kind)
        await fill(target, gateway, over=True)
        async with asyncio.timeout(1):
            await target.emptied()
        await ended(stalled, implementation)
    assert gateway.left == [("stalled", "too slow")]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_kicked_transport_cannot_connect_again(serve: Serve, transport: TransportName) -> None:
    target = Target()
    server = await serve(target.app)
    async with entered(server, "kicked", transport) as kicked, entered(server, "another") as another:
        await target.realtime.broadcaster.disconnect_user("kicked")
        with contextlib.suppress(ConnectionClosed):
            await kicked.send('0{"name":"kicked"}', '0{"name":"another"}')
        assert await read_until_closed(kicked) == ["1"]
        assert target.state()["connections"] == 1
        await still_answers(another)
    await target.emptied()


@pytest.mark.parametrize("kind", KINDS)
async def test_stopping_the_server_does_not_wait_for_a_stalled_client(serve: Serve, kind: Kind) -> None:
    target = Target()
    server = await serve(target.app)
    async with stalled_client(server, "stalled", kind):
        await fill(target, gateway_of(target, kind), over=False)
        async with asyncio.timeout(3):
            await server.stop()
    assert not any(target.state().values())


async def test_a_host_that_broadcasts_in_a_loop_disconnects_no_client_that_reads(serve: Serve) -> None:
    target = Target()
    server = await serve(target.app)
    async with entered(server, "reader") as reader:
        reading = asyncio.create_task(numbers(reader, LOOP))
        for number in range(LOOP):
            await target.realtime.broadcaster.broadcast_to_room("everybody", "event", [number, "x" * 1000])
        assert await reading == list(range(LOOP))
