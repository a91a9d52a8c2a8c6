"""Relays: each process can answer polls, POSTs and WebSockets of the sessions of other processes."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, NamedTuple, TypeAlias

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import connect as open_websocket

from asgi_realtime import Connection, RealtimeMiddleware, Settings, SocketIOGateway, on
from asgi_realtime.limits import Limits
from asgi_realtime.runtime.batches import AT_ONCE, PAUSE
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.redis_places import RedisPlace
from tests.support.roaming_client import RoamingClient
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import until

SECRET = "a secret for tests that is long enough"


class Echo(SocketIOGateway):
    """Answers events. Clients can join rooms."""

    @on("echo")
    async def echo(self, text: str, connection: Connection) -> str:
        await connection.send("echoed", text)
        return text

    @on("blob")
    async def blob(self, data: bytes, connection: Connection) -> None:
        await connection.send("blob", data)

    @on("join")
    async def join(self, room: str, connection: Connection) -> str:
        await connection.join(room)
        return room


@dataclasses.dataclass
class Process:
    """One of the processes of an app. All run on the event loop of the test."""

    app: RealtimeMiddleware
    metrics: RecordedMetrics
    url: str
    stop: Callable[[], Awaitable[None]]


Start: TypeAlias = Callable[..., Awaitable[Process]]


@pytest.fixture
def start(serve: Serve, redis_place: RedisPlace) -> Start:
    prefix = f"test-{secrets.token_hex(4)}"

    async def begin(implementation: Implementation | None = None, **options: Any) -> Process:
        own: dict[str, Any] = {
            "jwt_secret": SECRET,
            "redis_url": redis_place.url,
            "redis_prefix": prefix,
            "publish_timeout": 10.0,
        }
        options = own | options
        metrics = RecordedMetrics()
        app = RealtimeMiddleware(Starlette(), gateways=[Echo("/")], settings=Settings(**options), metrics=metrics)
        server = await serve(app, implementation)
        await app.broadcaster.broadcast_to_user("no user", "ready")  # waits for the connection to Redis
        return Process(app, metrics, server.url, server.stop)

    return begin


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=30) as client:
        yield client


class Two(NamedTuple):
    """Two processes, and a client that is connected at the first one. Its later requests go to both alternately."""

    first: Process
    second: Process
    client: RoamingClient


StartTwo: TypeAlias = Callable[..., Awaitable[Two]]


@pytest.fixture
def start_two(start: Start, http: httpx.AsyncClient) -> StartTwo:
    async def begin(implementation: Implementation | None = None) -> Two:
        first, second = await start(implementation), await start(implementation)
        client = RoamingClient(http, [first.url, second.url])
        await connect_at_first(client)
        return Two(first, second, client)

    return begin


async def test_polls_and_posts_may_alternate_between_two_processes(start_two: StartTwo) -> None:
    first, second, client = await start_two()
    for number in range(20):
        await client.post(f'42["echo","{number}"]')
        assert await client.event() == ["echoed", str(number)]
    assert first.metrics.totals["relayed_requests_total polling"] == 0
    assert second.metrics.totals["relayed_requests_total polling"] > 10
    assert second.metrics.totals["relays"] == 0


async def test_forty_events_in_one_tick_arrive_in_order(start: Start, http: httpx.AsyncClient) -> None:
    first, second, third = await start(), await start(), await start()
    client = RoamingClient(http, [second.url, first.url, third.url])
    await client.connect("ann", SECRET)
    for batch in range(3):
        await asyncio.gather(
            *(first.app.broadcaster.broadcast_to_user("ann", "number", batch * 40 + n) for n in range(40))
        )
        assert [await client.event() for _ in range(40)] == [["number", batch * 40 + n] for n in range(40)]


async def test_the_owner_checks_the_origin_and_whose_session_it_is(start: Start, http: httpx.AsyncClient) -> None:
    first, second = await start(cors_origins=("*",)), await start(cors_origins=("https://app.example",))
    client = RoamingClient(http, [first.url, second.url])
    await client.open()
    foreign = {"Origin": "https://evil.example"}
    assert (await http.get(client.url(at=1), headers=foreign)).status_code == 403
    answer = await http.post(client.url(at=1), headers={"Origin": "https://app.example"}, content="3")
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == "*"  # as the owner reports


@pytest.mark.parametrize("sid", ["x" * 20, "x" * 20 + ".", "x" * 20 + ".AAAAAAAA", "x" * 20 + ".AAAAAAAAA", "a.b", "*"])
async def test_an_id_of_no_process_is_unknown_at_once(start: Start, http: httpx.AsyncClient, sid: str) -> None:
    process = await start()
    client = RoamingClient(http, [process.url])
    client.sid = sid
    for answer in (await client.get(), await client.post("3")):
        assert answer.status_code == 400
        assert answer.json() == {"code": 1, "message": "Session ID unknown"}
    with pytest.raises(websockets.InvalidStatus):
        await open_websocket(client.url("websocket").replace("http", "ws", 1))


async def test_an_unknown_session_of_a_running_process_is_refused(start: Start, http: httpx.AsyncClient) -> None:
    first, second = await start(), await start()
    client = RoamingClient(http, [first.url, second.url])
    await client.open()
    client.sid = "x" * 20 + client.sid[20:]
    assert (await client.get(at=1)).json() == {"code": 1, "message": "Session ID unknown"}
    with pytest.raises(websockets.InvalidStatus) as refused:
        await open_websocket(client.url("websocket", at=1).replace("http", "ws", 1))
    assert refused.value.response.status_code == 400


async def test_ids_of_a_single_process_stay_short(serve: Serve, http: httpx.AsyncClient) -> None:
    app = RealtimeMiddleware(Starlette(), gateways=[Echo("/")], settings=Settings(jwt_secret=SECRET))
    server = await serve(app)
    client = RoamingClient(http, [server.url])
    await client.open()
    assert len(client.sid) == 20


@pytest.mark.parametrize("size", [1_000, 200_000, 900_000])
async def test_large_bodies_and_answers_go_in_parts(start_two: StartTwo, size: int) -> None:
    first, second, client = await start_two()
    text = "x" * size
    assert (await client.post(f'42["echo","{text}"]', at=1)).status_code == 200
    answer = await client.get(at=1)
    assert answer.text == f'42["echoed","{text}"]'


async def test_a_body_that_is_too_large_is_refused_by_the_owner(start: Start, http: httpx.AsyncClient) -> None:
    first, second = await start(limits=Limits(message_bytes=100_000)), await start()
    client = RoamingClient(http, [first.url, second.url])
    await client.connect("ann", SECRET)
    assert (await client.post("4" + "x" * 300_000, at=1)).status_code == 413
    assert (await client.get(at=1)).status_code == 400
    assert not first.app.realtime.engineio.sessions


async def test_a_client_that_disconnects_during_a_relayed_poll_ends_session_and_relay(start_two: StartTwo) -> None:
    first, second, client = await start_two()
    polling = asyncio.create_task(client.get(at=1))
    await until(lambda: second.metrics.totals["relays"] == 1)
    polling.cancel()
    await until(lambda: not first.app.realtime.engineio.sessions)
    await until(lambda: second.metrics.totals["relays"] == 0)


async def test_two_polls_at_once_end_the_session(start_two: StartTwo) -> None:
    first, second, client = await start_two()
    waiting = asyncio.create_task(client.get(at=0))
    await until(lambda: not waiting.done())
    answers = [await client.get(at=1), await waiting]
    assert sorted(answer.status_code for answer in answers) == [200, 400]


async def test_relays_over_the_limit_of_an_address_get_503(start: Start, http: httpx.AsyncClient) -> None:
    first, second = await start(), await start(limits=Limits(sessions_per_address=1))
    clients = [RoamingClient(http, [first.url, second.url]) for _ in range(2)]
    for client in clients:
        await connect_at_first(client)
    polling = asyncio.create_task(clients[0].get(at=1))
    await until(lambda: second.metrics.totals["relays"] == 1)
    assert (await clients[1].get(at=1)).status_code == 503
    await first.app.broadcaster.broadcast_to_user("ann", "news")
    assert (await polling).status_code == 200
    assert (await clients[1].get(at=1)).status_code == 200


async def test_a_process_that_stops_leaves_the_polling_clients_of_others_connected(
    start_two: StartTwo, http: httpx.AsyncClient
) -> None:
    first, second, client = await start_two()
    sessions = [http.get(f"{second.url}/socket.io/?EIO=4&transport=polling") for _ in range(AT_ONCE)]
    assert {answer.status_code for answer in await asyncio.gather(*sessions)} == {200}
    polling = asyncio.create_task(client.get(at=1))
    await until(lambda: second.metrics.totals["relays"] == 1)
    loop = asyncio.get_running_loop()
    begin = loop.time()
    stopping = asyncio.create_task(second.app.realtime.stop())
    answer = await polling
    assert loop.time() - begin >= PAUSE  # the sessions are the first batch
    assert (answer.status_code, answer.text, answer.headers["connection"]) == (200, "6", "close")
    polling = asyncio.create_task(client.get(at=1))
    answer = await polling  # after its batch
    assert answer.status_code == 503 or (answer.text, answer.headers["connection"]) == ("6", "close")
    await stopping
    await first.app.broadcaster.broadcast_to_user("ann", "still here")
    assert (await client.get(at=0)).text == '42["still here"]'
    assert second.metrics.totals["relays"] == 0


async def test_a_relayed_post_is_taken_while_the_process_stops(start_two: StartTwo, http: httpx.AsyncClient) -> None:
    first, second, client = await start_two()
    more = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'42["echo",'
        await more.wait()
        yield b'"said"]'

    posting = asyncio.create_task(http.post(client.url(at=1), content=body()))
    await until(lambda: second.metrics.totals["relays"] == 1)
    stopping = asyncio.create_task(second.app.realtime.stop())
    await until(lambda: second.app.broadcaster.ready is False)
    more.set()
    answer = await posting
    assert (answer.status_code, answer.text, answer.headers["connection"]) == (200, "ok", "close")
    await stopping
    assert (await client.get(at=0)).text == '42["echoed","said"]'


async def test_a_relayed_post_that_does_not_end_ends_with_the_process(
    start_two: StartTwo, http: httpx.AsyncClient
) -> None:
    first, second, client = await start_two()
    never = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'42["echo",'
        await never.wait()

    posting = asyncio.create_task(http.post(client.url(at=1), content=body()))
    await until(lambda: second.metrics.totals["relays"] == 1)
    await second.app.realtime.stop()
    await until(lambda: not first.app.realtime.engineio.sessions)
    assert second.metrics.totals["relays"] == 0
    posting.cancel()


# WebSockets


Upgrade: TypeAlias = Callable[[RoamingClient, int], Awaitable[websockets.ClientConnection]]


@pytest.fixture
async def upgrade() -> AsyncIterator[Upgrade]:
    """Upgrades a session at the process with this number."""
    opened: list[websockets.ClientConnection] = []

    async def upgrade(client: RoamingClient, at: int) -> websockets.ClientConnection:
        address = client.url("websocket", at=at).replace("http", "ws", 1)
        websocket = await open_websocket(address, ping_interval=None)
        opened.append(websocket)
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        await websocket.send("5")
        await websocket.send('42["echo","upgraded"]')
        assert await websocket.recv() == '42["echoed","upgraded"]'
        return websocket

    yield upgrade
    for websocket in opened:
        websocket.transport.abort()
        await websocket.wait_closed()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_session_can_be_upgraded_at_another_process(
    start_two: StartTwo, upgrade: Upgrade, implementation: Implementation
) -> None:
    first, second, client = await start_two(implementation)
    websocket = await upgrade(client, 1)
    for number in range(20):
        await websocket.send(f'42["echo","{number}"]')
    assert [await websocket.recv() for _ in range(20)] == [f'42["echoed","{n}"]' for n in range(20)]
    large = "x" * 700_000
    await websocket.send(f'42["echo","{large}"]')
    assert await websocket.recv() == f'42["echoed","{large}"]'
    await websocket.send('451-["blob",{"_placeholder":true,"num":0}]')
    await websocket.send(b"\x00\x01")
    assert [await websocket.recv(), await websocket.recv()] == [
        '451-["blob",{"_placeholder":true,"num":0}]',
        b"\x00\x01",
    ]
    assert second.metrics.totals["relayed_requests_total websocket"] == 1
    await websocket.close()
    await until(lambda: not first.app.realtime.engineio.sessions)
    await until(lambda: second.metrics.totals["relays"] == 0)


async def test_the_owner_closes_a_relayed_websocket(start_two: StartTwo, upgrade: Upgrade) -> None:
    first, second, client = await start_two()
    websocket = await upgrade(client, 1)
    await first.stop()
    with pytest.raises(websockets.ConnectionClosed):
        while True:
            await websocket.recv()
    assert (websocket.close_code, websocket.close_reason) == (1012, "server restart")


async def test_a_relaying_process_that_stops_closes_with_1012_and_ends_the_session(
    start_two: StartTwo, upgrade: Upgrade
) -> None:
    first, second, client = await start_two()
    websocket = await upgrade(client, 1)
    await second.stop()
    with pytest.raises(websockets.ConnectionClosed):
        await websocket.recv()
    assert websocket.close_code == 1012
    await until(lambda: not first.app.realtime.engineio.sessions)


async def test_a_stop_lets_a_relayed_client_complete_its_upgrade_first(
    start_two: StartTwo, http: httpx.AsyncClient
) -> None:
    first, second, client = await start_two()
    async with open_websocket(client.url("websocket", at=1).replace("http", "ws", 1)) as websocket:
        await websocket.send("2probe")
        assert await websocket.recv() == "3probe"
        # From here on, the JavaScript client does not poll.
        stopping = asyncio.create_task(second.app.realtime.stop())

        async def refuses() -> bool:
            return (await http.get(f"{second.url}/socket.io/?EIO=4&transport=polling")).status_code == 503

        await until(refuses)
        await websocket.send("5")
        with pytest.raises(websockets.ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 1012
        await until(lambda: not first.app.realtime.engineio.sessions)
        await stopping


async def test_a_stop_closes_relayed_websockets_in_batches_with_the_other_clients(
    start_two: StartTwo, http: httpx.AsyncClient, upgrade: Upgrade
) -> None:
    first, second, client = await start_two()
    websocket = await upgrade(client, 1)
    sessions = [http.get(f"{second.url}/socket.io/?EIO=4&transport=polling") for _ in range(AT_ONCE)]
    assert {answer.status_code for answer in await asyncio.gather(*sessions)} == {200}
    loop = asyncio.get_running_loop()
    begin = loop.time()
    stopping = asyncio.create_task(second.app.realtime.stop())
    with pytest.raises(websockets.ConnectionClosed):
        await websocket.recv()
    assert loop.time() - begin >= PAUSE  # the sessions are the first batch
    assert websocket.close_code == 1012
    await stopping


async def test_an_abandoned_upgrade_leaves_polling_alive(start_two: StartTwo) -> None:
    first, second, client = await start_two()
    websocket = await open_websocket(client.url("websocket", at=1).replace("http", "ws", 1))
    await websocket.send("2probe")
    assert await websocket.recv() == "3probe"
    websocket.transport.abort()
    await websocket.wait_closed()
    await until(lambda: second.metrics.totals["relays"] == 0)
    await client.post('42["echo","still here"]')
    assert await client.event() == ["echoed", "still here"]


async def test_a_client_that_does_not_read_is_closed_by_the_owner(start_two: StartTwo, upgrade: Upgrade) -> None:
    first, second, client = await start_two()
    websocket = await upgrade(client, 1)
    websocket.transport.pause_reading()
    text = "x" * 500_000
    async with asyncio.timeout(20):
        while first.app.realtime.engineio.sessions:
            await first.app.broadcaster.broadcast_to_user("ann", "news", text)
    await until(lambda: second.metrics.totals["relays"] == 0)


async def connect_at_first(client: RoamingClient) -> None:
    """Connect a client. All its requests go to the first process."""
    urls, client.urls = client.urls, client.urls[:1] * len(client.urls)
    await client.connect("ann", SECRET)
    client.urls = urls
