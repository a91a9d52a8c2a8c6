"""Events (docs/reference/protocols.md, section 2) as stock clients see it: each row, over every transport."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from asgi_realtime import (
    Connection,
    EventsBroadcaster,
    EventsGateway,
    Handshake,
    Identity,
    Limits,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    Unauthorized,
    create_token,
)
from asgi_realtime.values.json import Json
from tests.support.events_clients import MARK, EventsClients, ask
from tests.support.node_client import ConnectRefused, Node, Received
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client
from tests.support.servers import LiveServer, Serve
from tests.support.stock_client import Connect, StockClient
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
PAGE = "http://localhost:5173"
"""What `CORS_ORIGIN` is unless it is set."""
ELSEWHERE = "https://elsewhere.example"
DONE = {"success": True}


@dataclasses.dataclass(frozen=True)
class Running:
    server: LiveServer
    realtime: Realtime
    to: EventsBroadcaster


async def only_cookies(handshake: Handshake) -> Identity:
    """Accept a cookie, which a page of a foreign origin would abuse."""
    if "user" not in handshake.cookies:
        raise Unauthorized
    return Identity(user_id=handshake.cookies["user"])


@asynccontextmanager
async def events(serve: Serve, gateway: EventsGateway | None = None, **settings: Any) -> AsyncIterator[Running]:
    """A server with Events, and a gateway at `/` that accepts cookies."""
    host = Starlette(routes=[Route("/rest", lambda request: PlainTextResponse("the host's"))])
    gateways = [SocketIOGateway("/", authenticator=only_cookies), gateway or EventsGateway()]
    app = RealtimeMiddleware(host, gateways=gateways, settings=dataclasses.replace(SETTINGS, **settings))
    yield Running(await serve(app), app.realtime, EventsBroadcaster(app.broadcaster.of("/events")))


async def enter(connect: Connect, running: Running, user_id: str) -> StockClient:
    return await connect(running.server.url, "/events", auth={"token": create_token(user_id, SETTINGS)})


def no(message: str) -> dict[str, Json]:
    return {"success": False, "message": message}


def clients_of(running: Running, connect: Connect) -> EventsClients:
    return EventsClients(lambda user_id: enter(connect, running, user_id), lambda: running.to.broadcast_to_all(MARK))


@pytest.fixture
async def clients(serve: Serve, connect: Connect) -> AsyncIterator[EventsClients]:
    """Clients of a server with Events."""
    async with events(serve) as running:
        yield clients_of(running, connect)


async def test_tokens_of_auth_and_query_are_accepted_and_all_others_refused(serve: Serve, connect: Connect) -> None:
    async with events(serve) as running:
        url, good, bad = running.server.url, create_token("ann", SETTINGS), create_token("ann", SETTINGS, expires_in=-1)
        await connect(url, "/events", auth={"token": good})
        await connect(f"{url}?token={good}", "/events")
        await connect(f"{url}?token={bad}", "/events", auth={"token": good})
        ways: list[tuple[str, Json, dict[str, str]]] = [
            ("", None, {}),
            ("", {"token": bad}, {}),
            (f"?token={bad}", None, {}),
            (f"?token={good}", {"token": bad}, {}),
            ("", None, {"Authorization": f"Bearer {good}"}),
            ("", None, {"Cookie": f"mew_access_token={good}"}),
        ]
        for query, auth, headers in ways:
            with pytest.raises(ConnectRefused) as refused:
                await connect(url + query, "/events", auth=auth, headers=headers)
            assert (refused.value.message, refused.value.data) == ("invalid credentials", {"code": "UNAUTHORIZED"})


async def test_joining_and_leaving_a_room_notifies_its_other_clients(clients: EventsClients) -> None:
    ann, ben, eve = await clients.enter("ann", "ben", "eve")
    assert await ask(ann, "join", {"room": "猫"}) == {"success": True, "room": "猫"}
    assert await clients.take(ann, ben, eve) == [[], [], []]
    assert await ask(ben, "join", {"room": "猫"}) == {"success": True, "room": "猫"}
    joined = Received("user:joined", [{"userId": "ben", "room": "猫"}])
    assert await clients.take(ann, ben, eve) == [[joined], [], []]
    left = Received("user:left", [{"userId": "ben", "room": "猫"}])
    assert await ask(ben, "leave", {"room": "猫"}) == {"success": True, "room": "猫"}
    assert await clients.take(ann, ben, eve) == [[left], [], []]

    # The same without an ack, and without an answer. A client that disconnects leaves every room.
    for room in ("猫", "狗"):
        await ask(ann, "join", {"room": room})
        await ben.emit("join", {"room": room})
        assert (await ann.expect("user:joined")).data == {"userId": "ben", "room": room}
    assert await clients.take(ann, ben, eve) == [[], [], []]
    await ben.disconnect()
    departures = [(await ann.expect("user:left")).data for _ in range(2)]
    assert sorted(data["room"] for data in departures) == sorted(["猫", "狗"])
    assert {data["userId"] for data in departures} == {"ben"}
    assert await clients.take(ann, eve) == [[], []]


async def test_messages_reach_the_room_with_the_sender_or_all_other_clients(clients: EventsClients) -> None:
    ann, ben, eve, tab = await clients.enter("ann", "ben", "eve", "ann")
    for client in (ann, ben):
        await ask(client, "join", {"room": "r"})
    await ann.expect("user:joined")
    before = datetime.now(UTC)
    assert await ask(ann, "message", {"content": "你好 😺", "room": "r"}) == DONE
    assert await ask(ann, "message", {"content": "to all"}) == DONE
    after = datetime.now(UTC)
    of_ann, of_ben, of_eve, of_tab = await clients.take(ann, ben, eve, tab)
    in_room, to_all = of_ben
    assert of_ann == [in_room], "the sender is a member; without a room it is left out"
    assert of_eve == of_tab == [to_all]
    for received, content in ((in_room, "你好 😺"), (to_all, "to all")):
        assert received.event == "message"
        assert received.data == {
            "senderId": "ann",
            "content": content,
            "timestamp": received.data["timestamp"],
        }
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", received.data["timestamp"])
        sent = datetime.fromisoformat(received.data["timestamp"])
        assert before - timedelta(milliseconds=1) <= sent <= after
    assert sent.utcoffset() == timedelta(0)

    await eve.emit("message", {"content": "without an ack", "room": None})
    for client in (ann, ben, tab):
        assert (await client.expect("message")).data["content"] == "without an ack"
    for character in ("x", "字", "😺"):
        assert await ask(eve, "message", {"content": character * 1000}) == DONE
        assert (await ann.expect("message")).data["content"] == character * 1000
        assert await ask(eve, "message", {"content": character * 1001}) == no("消息过长")


async def test_every_refusal_is_an_ack_or_the_event_error(serve: Serve, connect: Connect) -> None:
    def may_join(identity: Identity, room: str) -> bool:
        return room == "open"

    async def content_filter(identity: Identity, content: str) -> bool:
        if content == "broken":
            raise LookupError("no dictionary")
        return "damn" not in content

    gateway = EventsGateway(
        may_join=may_join,
        content_filter=content_filter,
        limits=Limits(event_rate=0.001, event_burst=30),
    )
    async with events(serve, gateway) as running:
        ann, ben = await enter(connect, running, "ann"), await enter(connect, running, "ben")
        await ask(ben, "join", {"room": "open"})
        refusals: list[tuple[str, Json, str]] = [
            ("join", {"room": "secret"}, "无权访问此房间"),
            ("message", {"content": "x", "room": "open"}, "无权访问此房间"),
            ("message", {"content": "x" * 1001}, "消息过长"),
            ("message", {"content": "damn"}, "包含不当内容"),
            ("message", {"content": "broken"}, "服务器内部错误"),
            *((event, wrong, "消息格式错误") for event in ("join", "leave") for wrong in ({}, {"room": 7}, "r")),
            *(("message", wrong, "消息格式错误") for wrong in ({}, {"content": None}, {"content": "x", "room": 7})),
            ("unknown", {}, "消息格式错误"),
        ]
        for event, payload, message in refusals:
            assert await ask(ann, event, payload) == no(message), (event, payload)
            await ann.emit(event, payload)
            assert (await ann.expect("error")).args == [{"message": message}], (event, payload)
        assert await clients_of(running, connect).take(ann, ben) == [[], []]
        for _ in range(30 - 2 * len(refusals)):
            assert await ask(ann, "leave", {"room": "open"}) == {"success": True, "room": "open"}
        for event, payload in (("message", {"content": "x"}), ("join", {"room": "open"}), ("leave", {"room": "open"})):
            assert await ask(ann, event, payload) == no("消息发送过于频繁")
            await ann.emit(event, payload)
            assert (await ann.expect("error")).args == [{"message": "消息发送过于频繁"}]
        assert await clients_of(running, connect).take(ann, ben) == [[], []]
        assert await ask(ben, "message", {"content": "x"}) == DONE, "another user's limit"


async def test_a_user_has_one_limit_for_all_connections(serve: Serve, connect: Connect) -> None:
    limits = Limits(user_event_rate=0.001, user_event_burst=3)
    async with events(serve, EventsGateway(limits=limits)) as running:
        tabs = [await enter(connect, running, "ann") for _ in range(4)]
        answers = [await ask(tab, "message", {"content": "x"}) for tab in tabs]
        assert answers == [DONE, DONE, DONE, no("消息发送过于频繁")]
        await tabs[0].disconnect()
        assert await ask(await enter(connect, running, "ann"), "join", {"room": "r"}) == no("消息发送过于频繁")


async def test_no_client_waits_for_the_hosts_decision_about_another(serve: Serve, connect: Connect) -> None:
    asked, answer = asyncio.Semaphore(0), asyncio.Event()

    async def decide(identity: Identity, text: str) -> bool:
        if identity.user_id == "ann":
            asked.release()
            await answer.wait()
        return True

    async with events(serve, EventsGateway(may_join=decide, content_filter=decide)) as running:
        ann, again, ben = [await enter(connect, running, user_id) for user_id in ("ann", "ann", "ben")]
        waiting = [
            asyncio.create_task(ask(ann, "join", {"room": "r"})),
            asyncio.create_task(ask(again, "message", {"content": "x"})),
        ]
        await asked.acquire()
        await asked.acquire()
        assert await ask(ben, "join", {"room": "r"}) == {"success": True, "room": "r"}
        assert await ask(ben, "message", {"content": "y", "room": "r"}) == DONE
        assert not any(task.done() for task in waiting)
        answer.set()
        assert await asyncio.gather(*waiting) == [{"success": True, "room": "r"}, DONE]
        assert {received.event for received in (await clients_of(running, connect).take(ben))[0]} == {
            "message",
            "user:joined",
        }


async def test_hooks_of_the_host_run_and_send_events(serve: Serve, connect: Connect) -> None:
    log: list[object] = []

    async def connected(connection: Connection) -> None:
        log.append(connection.identity.user_id)
        await connection.send("welcome", "to you")

    gateway = EventsGateway(
        initialised=lambda: log.append("initialised"),
        connected=connected,
        disconnected=lambda connection, reason: log.append((connection.identity.user_id, connection.closed)),
    )

    @gateway.on("typing")
    async def typing(to: dict[str, str], connection: Connection) -> None:
        await gateway.broadcaster.broadcast_to_room(to["room"], "typing", connection.identity.user_id)

    async with events(serve, gateway) as running:
        assert log == ["initialised"]
        ann, ben = await enter(connect, running, "ann"), await enter(connect, running, "ben")
        assert log == ["initialised", "ann", "ben"]
        welcome = Received("welcome", ["to you"])
        assert await clients_of(running, connect).take(ann, ben) == [[welcome], [welcome]]
        await ask(ann, "join", {"room": "r"})
        await running.to.broadcast_to_room("r", "alarm", {"level": 1})
        await running.to.broadcast_to_all("maintenance", ["at", "noon"])
        await ben.emit("typing", {"room": "r"})
        await ann.expect("typing")
        maintenance = Received("maintenance", [["at", "noon"]])
        assert await clients_of(running, connect).take(ann, ben) == [
            [Received("alarm", [{"level": 1}]), maintenance],
            [maintenance],
        ]
        await ben.disconnect()
        await until(lambda: len(log) == 4)
        assert log[3] == ("ben", True)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_cors_origin_of_events_opens_events_only(serve: Serve, node: Node, transport: TransportName) -> None:
    async with events(serve, cors_origins=(ELSEWHERE,)) as running:
        token = {"token": create_token("ann", SETTINGS)}
        headers = {"Origin": PAGE, "Cookie": "user=victim"}
        url = running.server.url
        client = await node.connect(url, "/events", auth=token, headers=headers, transports=[transport])
        assert await client.call("join", {"room": "r"}) == [{"success": True, "room": "r"}]
        with pytest.raises(ConnectRefused) as refused:
            await client.share("/")
        assert (refused.value.message, refused.value.data) == ("origin not allowed", {"code": "FORBIDDEN"})
        assert await client.call("leave", {"room": "r"}) == [{"success": True, "room": "r"}]
        for origin, namespace, status in (
            (PAGE, "/", None),
            ("http://localhost:5174", "/events", 403),
            ("https://localhost:5173", "/events", 403),
        ):
            with pytest.raises(ConnectRefused) as refused:
                others = headers | {"Origin": origin}
                await node.connect(url, namespace, auth=token, headers=others, transports=[transport])
            assert refused.value.status == status
        for origin in (url, ELSEWHERE):
            opened = await node.connect(url, "/", headers=headers | {"Origin": origin}, transports=[transport])
            await opened.share("/events", auth=token)
        assert len(running.realtime.hub.rooms(EventsGateway().name).everybody) == 3


@pytest.mark.parametrize("cors_origin", [PAGE, "*"])
@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_cors_origin_of_events_cannot_use_other_sessions(
    serve: Serve, transport: TransportName, cors_origin: str
) -> None:
    async with events(serve, cors_origins=(ELSEWHERE,), events_cors_origin=cors_origin) as running:
        server = running.server
        for origin in (ELSEWHERE, None):
            headers = {"Cookie": "user=victim"} | ({} if origin is None else {"Origin": origin})
            async with raw_client(server, transport, headers=headers) as victim:
                await _refused(server, str(victim.handshake["sid"]))
                await victim.send("0")
                assert str(await victim.receive()).startswith('0{"sid":"'), "the session is unchanged"
        async with raw_client(server, transport, headers={"Origin": PAGE}) as own:
            await own.send('0/events,{"token":"' + create_token("ann", SETTINGS) + '"}')
            assert str(await own.receive()).startswith('0/events,{"sid":"')


async def _refused(server: LiveServer, sid: str) -> None:
    query = f"/socket.io/?EIO=4&sid={sid}&transport="
    async with httpx.AsyncClient(headers={"Origin": PAGE}) as http:
        assert (await http.get(f"{server.url}{query}polling")).status_code == 403
        assert (await http.post(f"{server.url}{query}polling", content="40")).status_code == 403
    with pytest.raises(websockets.InvalidStatus) as caught:
        await websockets.connect(f"{server.websocket_url}{query}websocket", origin=websockets.Origin(PAGE))
    assert caught.value.response.status_code == 403


async def test_the_cors_origin_of_events_gets_cors_headers(serve: Serve) -> None:
    async with events(serve) as running, httpx.AsyncClient(headers={"Origin": PAGE}) as http:
        polling = f"{running.server.url}/socket.io/?EIO=4&transport=polling"
        answers = [
            await http.get(polling),
            await http.options(polling, headers={"Access-Control-Request-Method": "POST"}),
        ]
        for response in answers:
            assert response.status_code == 200
            assert response.headers.get_list("access-control-allow-origin") == [PAGE]
            assert response.headers.get_list("access-control-allow-credentials") == ["true"]
        rest = await http.get(f"{running.server.url}/rest")
        assert "access-control-allow-origin" not in rest.headers, "REST refuses that page too"
        sid = answers[0].text.partition('"sid":"')[2].partition('"')[0]
        await http.post(f"{polling}&sid={sid}", content="1")
    async with events(serve, events_cors_origin="") as running, httpx.AsyncClient(headers={"Origin": PAGE}) as http:
        response = await http.get(f"{running.server.url}/socket.io/?EIO=4&transport=polling")
        assert response.status_code == 403
