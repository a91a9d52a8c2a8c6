"""Long-polling loses nothing: many events at once, and upgrades that fail."""

from __future__ import annotations

import asyncio

import pytest
from websockets.asyncio.client import ClientConnection, connect

from asgi_realtime.values.json import Json
from tests.support.attackers import entered, numbers
from tests.support.node_client import Node
from tests.support.raw_engineio import RawClient
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.target_app import PATIENCE, Target

AT_ONCE = 40


async def broadcast(target: Target, first: int, count: int = AT_ONCE) -> None:
    """Send numbered events in one iteration of the event loop."""
    for number in range(first, first + count):
        await target.realtime.broadcaster.broadcast_to_room("everybody", "event", [number])


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_forty_events_in_one_turn_all_arrive_in_order(serve: Serve, implementation: Implementation) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    async with entered(server, "polling", "polling") as client:
        await broadcast(target, 0)
        assert await numbers(client, AT_ONCE) == list(range(AT_ONCE))


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_forty_events_in_one_post_are_all_handled_in_order(serve: Serve, implementation: Implementation) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    async with entered(server, "polling", "polling") as client:
        await client.send(*(f'2{number}["echo",{number}]' for number in range(AT_ONCE)))
        assert [await client.receive() for _ in range(AT_ONCE)] == [f"3{number}[{number}]" for number in range(AT_ONCE)]
    assert target.gateway.received == list(range(AT_ONCE))


async def test_the_stock_client_receives_and_sends_forty_events_at_once(serve: Serve, node: Node) -> None:
    target = Target()
    server = await serve(target.app)
    client = await node.connect(server.url, "/", auth={"name": "stock"}, transports=["polling"])
    await broadcast(target, 0)
    assert [(await client.expect("event")).data for _ in range(AT_ONCE)] == [[number] for number in range(AT_ONCE)]
    answers: list[Json] = await asyncio.gather(*[client.call("echo", number) for number in range(AT_ONCE)])
    assert answers == [[number] for number in range(AT_ONCE)]
    assert target.gateway.received == list(range(AT_ONCE))
    await client.disconnect()


async def probe(server: LiveServer, client: RawClient) -> ClientConnection:
    """Begin to upgrade a polling session."""
    sid = client.handshake["sid"]
    socket = await connect(f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket&sid={sid}")
    await socket.send("2probe")
    assert await socket.recv() == "3probe"
    return socket


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("fate", ["dies", "closes", "is never completed"])
async def test_an_abandoned_upgrade_loses_nothing(serve: Serve, implementation: Implementation, fate: str) -> None:
    target = Target(upgrade_timeout=1.0 if fate == "is never completed" else 10.0)
    server = await serve(target.app, implementation)
    async with entered(server, "polling", "polling") as client:
        await broadcast(target, 0)
        socket = await probe(server, client)
        await broadcast(target, AT_ONCE)
        await client.send('20["echo","during"]')
        if fate == "dies":
            socket.transport.abort()
        elif fate == "closes":
            await socket.close()
        await broadcast(target, 2 * AT_ONCE)
        assert await numbers(client, AT_ONCE) == list(range(AT_ONCE))
        assert await numbers(client, AT_ONCE) == list(range(AT_ONCE, 2 * AT_ONCE))
        # The first of these may be answered before the acknowledgement. Only the order among them is fixed.
        rest = [await client.receive() for _ in range(AT_ONCE + 1)]
        assert [message for message in rest if message != '30["during"]'] == [
            f'2["event",[{number}]]' for number in range(2 * AT_ONCE, 3 * AT_ONCE)
        ]
        await client.send('21["echo","after"]')
        assert await client.receive() == '31["after"]'
        async with asyncio.timeout(PATIENCE):
            await socket.wait_closed()
        # Another attempt succeeds.
        socket = await probe(server, client)
        await broadcast(target, 3 * AT_ONCE)
        await socket.send("5")
        async with asyncio.timeout(PATIENCE):
            upgraded = [await socket.recv() for _ in range(AT_ONCE)]
        assert upgraded == [f'42["event",[{number}]]' for number in range(3 * AT_ONCE, 4 * AT_ONCE)]
        await socket.close()
    await target.emptied()
    assert target.gateway.received == ["during", "after"]
