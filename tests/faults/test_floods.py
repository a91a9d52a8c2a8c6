"""Too much of anything: events, transports, handshakes, connections. Each has its bound, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import json

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from asgi_realtime import Connection, Handshake, Identity, Limits, SocketIOGateway, on
from asgi_realtime.messages import Json
from tests.faults.clients import enter, entered, still_answers
from tests.faults.target import PATIENCE, Target, by_name
from tests.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.wire.raw import SessionClosed, closing, raw_client, receive_json

POLLING = "/socket.io/?EIO=4&transport=polling"


class SlowGateway(SocketIOGateway):
    """Handles one event after the other, each once it may; counts how many are at work at once."""

    def __init__(self, name: str = "/slow") -> None:
        super().__init__(name, authenticator=by_name)
        self.handled: list[int] = []
        self.at_work = self.most_at_work = 0
        self.waiting = asyncio.Event()
        self.go_on = asyncio.Event()

    @on("count")
    async def count(self, number: int) -> int:
        self.at_work += 1
        self.most_at_work = max(self.most_at_work, self.at_work)
        self.waiting.set()
        await self.go_on.wait()
        await asyncio.sleep(0)
        self.handled.append(number)
        self.at_work -= 1
        return number


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_burst_is_handled_in_order_one_at_a_time_and_then_limited(
    serve: Serve, implementation: Implementation
) -> None:
    slow = SlowGateway()
    limits = Limits(event_rate=0.001, event_burst=1_000, events_in_flight=64)
    target = Target(slow, limits=limits)
    server = await serve(target.app, implementation)
    async with raw_client(server, "websocket") as client:
        await client.send('0/slow,{"name":"flood"}')
        await receive_json(client, "0/slow,")
        (member,) = target.realtime.hub.rooms(slow.name).everybody
        sending = asyncio.create_task(client.send(*(f'2/slow,{n}["count",{n}]' for n in range(2_000))))
        async with asyncio.timeout(PATIENCE):
            await slow.waiting.wait()
        assert slow.handled == []
        slow.go_on.set()
        answers = [str(await client.receive()) for _ in range(2_000)]
        await sending
    accepted = [answer for answer in answers if "RATE_LIMITED" not in answer]
    assert accepted == [f"3/slow,{n}[{n}]" for n in range(1_000)]
    refusal = '[{"success":false,"code":"RATE_LIMITED","message":"too many events"}]'
    assert sorted(answer for answer in answers if answer not in accepted) == sorted(
        f"3/slow,{n}{refusal}" for n in range(1_000, 2_000)
    )
    assert slow.handled == list(range(1_000)) and slow.most_at_work == 1
    assert member.inbox.refused == 1_000
    await target.emptied()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_what_waits_for_a_slow_handler_is_capped(serve: Serve, implementation: Implementation) -> None:
    slow = SlowGateway()
    target = Target(slow, limits=Limits(events_in_flight=8, event_burst=100_000))
    server = await serve(target.app, implementation)
    async with raw_client(server, "websocket") as client, entered(server, "another") as another:
        await client.send('0/slow,{"name":"flood"}')
        await receive_json(client, "0/slow,")
        (member,) = target.realtime.hub.rooms(slow.name).everybody
        sending = asyncio.create_task(client.send(*(f'2/slow,["count",{n}]' for n in range(2_000))))
        async with asyncio.timeout(PATIENCE):
            await slow.waiting.wait()
        for _ in range(20):
            await still_answers(another)
            assert len(member.inbox) <= 8
        slow.go_on.set()
        await sending
        await client.send('2/slow,7["count",2000]')
        assert await client.receive() == "3/slow,7[2000]"
    assert slow.handled == list(range(2_001))
    await target.emptied()


async def test_a_client_that_goes_on_after_its_rate_is_put_out(serve: Serve) -> None:
    target = Target(limits=Limits(event_rate=0.001, event_burst=50))
    server = await serve(target.app)
    async with entered(server, "flood") as client:
        with contextlib.suppress(OSError):
            await client.send(*(f'2["echo",{n}]' for n in range(200)))
        heard = await closing(client)
    assert len(heard) == 50 + 1 and heard[-1] == "1"
    await target.emptied()
    assert target.gateway.heard == list(range(50))
    assert target.gateway.left == [("flood", "server disconnect")]


async def test_sessions_that_never_connect_are_ended(serve: Serve) -> None:
    opens = 500
    target = Target(limits=Limits(connect_timeout=0.5))
    server = await serve(target.app)
    async with httpx.AsyncClient(timeout=30) as http, entered(server, "another") as another:
        responses = await asyncio.gather(*[http.get(server.url + POLLING) for _ in range(opens)])
        assert {response.status_code for response in responses} == {200}
        async with asyncio.timeout(PATIENCE):
            while any(session.transport == "polling" for session in target.realtime.engineio.sessions.values()):
                await still_answers(another)
                # A session that was ended waits for its client to hear of it, until its heartbeat would be due.
                if all(session.state.value != "open" for session in _polling(target)):
                    break
        sid = json.loads(responses[0].text[1:])["sid"]
        assert (await http.get(f"{server.url}{POLLING}&sid={sid}")).text == "1"
        assert (await http.get(f"{server.url}{POLLING}&sid={sid}")).status_code == 400
        await still_answers(another)
    assert target.state()["connections"] == 0


def _polling(target: Target) -> list[object]:
    return [session for session in target.realtime.engineio.sessions.values() if session.transport == "polling"]
