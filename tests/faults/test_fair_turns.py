"""A client that sends many events at once does not delay other clients for long."""

from __future__ import annotations

import asyncio
import time

import pytest
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from wsproto.events import Ping

from asgi_realtime import Limits, SocketIOGateway, WebSocketGateway
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.runtime.fair_turns import MESSAGES_A_TURN, SECONDS_A_TURN
from tests.support.client_frames import PING, PONG, frame, text
from tests.support.raw_engineio import raw_client, receive_json
from tests.support.raw_websocket import RawWebSocket, open_websocket
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.target_app import Target, by_name
from tests.support.waiting import until
from tests.support.wrapped_send import WrappedSend

EVENTS = 1_000
LIMITS = Limits(event_burst=EVENTS, events_in_flight=EVENTS)


class Counting:
    """Handles events without an await, and records how many ran before the loop's next iteration."""

    def __init__(self, gateway: Gateway, work: float = 0.0) -> None:
        """`work` is the time in seconds for which each event blocks the loop."""
        self.gateway = gateway
        self.work = work
        self.seen: list[int] = []
        self.first_turn = 0
        gateway.on("count")(self.count)

    async def count(self, number: int) -> None:
        self.seen.append(number)
        end = time.monotonic() + self.work
        while time.monotonic() < end:
            pass
        if len(self.seen) == 1:
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self.first_turn = len(self.seen)

    async def check(self, events: int = EVENTS, most: int = MESSAGES_A_TURN) -> None:
        """Every event was handled, in order; the first turn ended early."""
        await until(lambda: len(self.seen) == events)
        assert self.seen == list(range(events))
        assert 0 < self.first_turn <= most


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "plain"])
@pytest.mark.parametrize("dialect", ["json", "socketio"])
async def test_other_clients_are_served_during_a_burst_of_one_client(
    serve: Serve, implementation: Implementation, dialect: str
) -> None:
    counting = await _over_a_websocket(serve, implementation, dialect, EVENTS, 0.0)
    await counting.check()


@pytest.mark.parametrize("implementation", [*IMPLEMENTATIONS, "plain"])
@pytest.mark.parametrize("dialect", ["json", "socketio"])
async def test_slow_events_end_a_read_turn_after_fewer_events(
    serve: Serve, implementation: Implementation, dialect: str
) -> None:
    counting = await _over_a_websocket(serve, implementation, dialect, 20, 2 * SECONDS_A_TURN)
    await counting.check(20, most=2)


async def _over_a_websocket(
    serve: Serve, implementation: Implementation, dialect: str, count: int, work: float
) -> Counting:
    plain = dialect == "json"
    counting = Counting(
        WebSocketGateway("/count", authenticator=by_name)
        if plain
        else SocketIOGateway("/count", authenticator=by_name),
        work,
    )
    server = await serve(Target(counting.gateway, limits=LIMITS).app, implementation)
    path = "/count" if plain else "/socket.io/?EIO=4&transport=websocket"
    async with open_websocket(server.port, path) as client:
        if plain:
            await client.send(text('{"type":"auth","data":{"name":"ann"}}'))
            await client.next()
            events = [f'{{"type":"count","data":{number}}}' for number in range(count)]
        else:
            await client.next()
            await client.send(text('40/count,{"name":"ann"}'))
            await client.next()
            events = [f'42/count,["count",{number}]' for number in range(count)]
        await client.send(b"".join(map(text, events)))
        await until(lambda: len(counting.seen) == count)
    return counting


@pytest.mark.parametrize(("count", "work", "most"), [(EVENTS, 0.0, MESSAGES_A_TURN), (20, 2 * SECONDS_A_TURN, 2)])
async def test_other_clients_are_served_while_a_post_is_read(serve: Serve, count: int, work: float, most: int) -> None:
    counting = Counting(SocketIOGateway("/count", authenticator=by_name), work)
    server = await serve(Target(counting.gateway, limits=LIMITS).app)
    async with raw_client(server, "polling") as client:
        await client.send('0/count,{"name":"ann"}')
        await receive_json(client, "0/count,")
        await client.send(*(f'2/count,["count",{number}]' for number in range(count)))
        await counting.check(count, most)


@pytest.mark.parametrize(
    ("implementation", "owner", "name"),
    [
        ("uvicorn", WebSocketsSansIOProtocol, "handle_ping"),
        ("uvicorn-wsproto", Ping, "response"),
        ("hypercorn", Ping, "response"),
    ],
)
async def test_stock_servers_parse_in_slices(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, implementation: Implementation, owner: type, name: str
) -> None:
    """These servers parse all received bytes before other code runs. If parsing is slow, at most 1 KiB at a time.

    Nothing is taken over from uvicorn, because `send` is wrapped.
    """
    pings = 5_000
    seen = most = 0
    original = getattr(owner, name)

    def counted(self: object, *arguments: object) -> object:
        nonlocal seen
        seen += 1
        end = time.monotonic() + SECONDS_A_TURN / 50
        while time.monotonic() < end:
            pass
        return original(self, *arguments)

    monkeypatch.setattr(owner, name, counted)
    target = Target(limits=Limits(control_burst=2 * pings))
    server = await serve(target.app if implementation == "hypercorn" else WrappedSend(target.app), implementation)
    async with open_websocket(server.port, "/socket.io/?EIO=4&transport=websocket") as client:
        await client.next()
        await client.send(frame(PING) * pings)
        reading = asyncio.create_task(_answers(client, pings))
        before = 0
        while not reading.done():
            await asyncio.sleep(0)
            most, before = max(most, seen - before), seen
        await reading
    assert seen == pings
    assert 0 < most <= 2 * (1024 // len(frame(PING)))


async def _answers(client: RawWebSocket, count: int) -> None:
    for _ in range(count):
        assert await client.next() == (PONG, b"")
