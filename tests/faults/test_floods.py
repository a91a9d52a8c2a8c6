"""Floods of events, transports, handshakes and connections. Each has a limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from asgi_realtime import Acknowledge, Connection, Limits, SocketIOGateway, on
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.values.ids import UserId
from asgi_realtime.values.json import Json
from tests.support.attackers import enter, entered, still_answers
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client, read_until_closed, receive_json
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.target_app import PATIENCE, Target, by_name

OPENS = 500
POLLING = "/socket.io/?EIO=4&transport=polling"


class SlowGateway(SocketIOGateway):
    """Each handler waits until the test allows it. Counts concurrent handlers."""

    def __init__(self, name: str = "/slow") -> None:
        super().__init__(name, authenticator=by_name)
        self.taken = 0
        self.handled: list[int] = []
        self.at_work = self.most_at_work = 0
        self.waiting = asyncio.Event()
        self.resume = asyncio.Event()

    async def on_connect(self, connection: Connection) -> None:
        """Count the events of the client that transports pass on. Start-up would refuse this attribute."""
        take = self.receive

        def counted(
            connection: InternalConnection,
            event: str,
            sent: Sequence[Json],
            acknowledge: Acknowledge | None,
            now: float,
        ) -> bool:
            self.taken += 1
            return take(connection, event, sent, acknowledge, now)

        self.receive = counted  # type: ignore[method-assign]

    @on("count")
    async def count(self, number: int) -> Any:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        self.waiting.set()
        await self.resume.wait()
        await asyncio.sleep(0)
        self.handled.append(number)
        self.at_work -= 1
        return number


class SlowConnect(SocketIOGateway):
    """Accepts no client until the test allows it."""

    def __init__(self) -> None:
        super().__init__("/slow", authenticator=by_name)
        self.resume = asyncio.Event()

    async def on_connect(self, connection: Connection) -> None:
        await self.resume.wait()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_burst_is_handled_in_order_one_at_a_time_and_then_limited(
    serve: Serve, implementation: Implementation
) -> None:
    slow = SlowGateway()
    limits = Limits(event_rate=0.001, event_burst=1_000, events_in_flight=64, attempt_burst=1_000)
    target = Target(slow, limits=limits)
    server = await serve(target.app, implementation)
    async with raw_client(server, "websocket") as client:
        await client.send('0/slow,{"name":"flood"}')
        await receive_json(client, "0/slow,")
        sending = asyncio.create_task(client.send(*(f'2/slow,{n}["count",{n}]' for n in range(2_000))))
        async with asyncio.timeout(PATIENCE):
            await slow.waiting.wait()
        assert slow.handled == []
        slow.resume.set()
        answers = [str(await client.receive()) for _ in range(2_000)]
        await sending
    accepted = [answer for answer in answers if "RATE_LIMITED" not in answer]
    assert accepted == [f"3/slow,{n}[{n}]" for n in range(1_000)]
    refusal = '[{"success":false,"code":"RATE_LIMITED","message":"too many events"}]'
    assert sorted(answer for answer in answers if answer not in accepted) == sorted(
        f"3/slow,{n}{refusal}" for n in range(1_000, 2_000)
    )
    assert slow.handled == list(range(1_000)) and slow.most_at_work == 1
    await target.emptied()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_events_queued_behind_a_slow_handler_are_capped(serve: Serve, implementation: Implementation) -> None:
    slow = SlowGateway()
    target = Target(slow, limits=Limits(events_in_flight=8, event_burst=100_000, user_event_burst=100_000))
    server = await serve(target.app, implementation)
    async with raw_client(server, "websocket") as client, entered(server, "another") as another:
        await client.send('0/slow,{"name":"flood"}')
        await receive_json(client, "0/slow,")
        sending = asyncio.create_task(client.send(*(f'2/slow,["count",{n}]' for n in range(2_000))))
        async with asyncio.timeout(PATIENCE):
            await slow.waiting.wait()
        for _ in range(20):
            await still_answers(another)
            assert slow.taken <= 8 + 1  # and one is handled
        slow.resume.set()
        await sending
        await client.send('2/slow,7["count",2000]')
        assert await client.receive() == "3/slow,7[2000]"
    assert slow.handled == list(range(2_001))
    await target.emptied()


async def test_a_client_that_keeps_sending_over_its_rate_is_disconnected(serve: Serve) -> None:
    target = Target(limits=Limits(event_rate=0.001, event_burst=50, attempt_rate=0.001, attempt_burst=50))
    server = await serve(target.app)
    async with entered(server, "flood") as client:
        with contextlib.suppress(OSError):
            await client.send(*(f'2["echo",{n}]' for n in range(200)))
        messages = await read_until_closed(client)
    assert ["RATE_LIMITED" in str(message) for message in messages] == [True] * 50 + [False]
    await target.emptied()
    assert target.gateway.received == list(range(len(target.gateway.received)))
    assert target.gateway.left == [("flood", "server disconnect")]


async def test_unused_sessions_end_by_themselves(serve: Serve) -> None:
    target = Target(limits=Limits(connect_timeout=0.2), ping_interval=0.3, ping_timeout=0.2)
    server = await serve(target.app)
    async with httpx.AsyncClient(timeout=30) as http:
        for _ in range(OPENS // 50):
            responses = await asyncio.gather(*[http.get(server.url + POLLING) for _ in range(50)])
            assert {response.status_code for response in responses} == {200}
        await target.emptied()


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_session_that_never_connects_to_a_namespace_is_closed(serve: Serve, transport: TransportName) -> None:
    target = Target(limits=Limits(connect_timeout=0.2))
    server = await serve(target.app)
    async with entered(server, "another") as another:
        async with contextlib.AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(raw_client(server, transport)) for _ in range(20)]
            assert await asyncio.gather(*map(read_until_closed, idle)) == [[]] * 20
        await still_answers(another)
        await target.settled()
        assert target.state() == {"sessions": 1, "connections": 1, "rooms": 1, "tasks": 0}


async def test_a_post_that_never_ends_ends_its_session(serve: Serve) -> None:
    target = Target(limits=Limits(body_timeout=0.2))
    server = await serve(target.app)
    async with entered(server, "drip", "polling") as client:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        path = f"{POLLING}&sid={client.handshake['sid']}"
        writer.write(f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n4".encode())
        async with asyncio.timeout(PATIENCE):
            assert b" 400 " in await reader.readline()
        writer.close()
        await writer.wait_closed()
    await target.emptied()


async def test_a_second_poll_ends_the_session(serve: Serve) -> None:
    target = Target()
    server = await serve(target.app)
    async with httpx.AsyncClient(timeout=10) as http, entered(server, "double", "polling") as client:
        url = f"{server.url}{POLLING}&sid={client.handshake['sid']}"
        answers = await asyncio.gather(http.get(url), http.get(url))
        assert sorted((answer.status_code, answer.text[0]) for answer in answers) == [(200, "1"), (400, "{")]
        assert (await http.get(url)).status_code == 400
    await target.emptied()
    assert target.gateway.left == [("double", "transport error")]


async def opened(server: LiveServer, transport: TransportName) -> int:
    """Open a session, and drop it if it was opened. Returns the status."""
    if transport == "polling":
        async with httpx.AsyncClient() as http:
            return (await http.get(server.url + POLLING)).status_code
    try:
        async with connect(server.websocket_url + POLLING.replace("polling", "websocket")):
            return 101
    except InvalidStatus as error:
        return error.response.status_code


@pytest.mark.parametrize("limits", [Limits(sessions_per_address=3), Limits(sessions=3)], ids=["address", "all"])
async def test_transports_are_capped_and_counted_exactly(serve: Serve, limits: Limits) -> None:
    target = Target(limits=limits)
    server = await serve(target.app)
    for _ in range(3):
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                await stack.enter_async_context(entered(server, "one of many"))
            for transport in TRANSPORTS:
                assert await opened(server, transport) == 503
            assert target.state()["sessions"] == 3
        await target.emptied()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_connections_of_a_user_are_capped_and_counted_exactly(
    serve: Serve, implementation: Implementation
) -> None:
    target = Target(limits=Limits(connections_per_user=2))
    server = await serve(target.app, implementation)
    for _ in range(5):
        async with entered(server, "user") as first, entered(server, "user"), raw_client(server, "websocket") as third:
            await third.send('0{"name":"user"}')
            refused = {"message": "too many connections", "data": {"code": "RATE_LIMITED"}}
            assert await receive_json(third, "4") == refused
            await enter(third, {"name": "another"})
            await first.send("1")
            await enter(first, {"name": "user"})
            assert len(target.realtime.hub.rooms(target.gateway.name).of_user(UserId("user"))) == 2
        await target.emptied()


async def test_a_crowd_that_connects_at_once_is_capped_exactly(serve: Serve) -> None:
    """Check and count are one step, also with a slow hook of the host."""
    slow = SlowConnect()
    target = Target(slow, limits=Limits(connections_per_user=3))
    server = await serve(target.app)
    async with contextlib.AsyncExitStack() as stack:
        crowd = [await stack.enter_async_context(raw_client(server, "websocket")) for _ in range(10)]
        for client in crowd:
            await client.send('0/slow,{"name":"user"}')
        for client in crowd[3:]:
            assert str(await client.receive()).startswith("4/slow,")
        slow.resume.set()
        for client in crowd[:3]:
            assert str(await client.receive()).startswith("0/slow,")
    await target.emptied()
