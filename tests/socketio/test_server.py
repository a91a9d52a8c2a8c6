"""python-socketio's API, driven by npm's stock client through a real server."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from asgi_realtime import Limits, PayloadTooLarge, Realtime, socketio
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.values.ids import GatewayName
from asgi_realtime.values.json import Json
from tests.support.node_client import ConnectRefused, Node
from tests.support.raw_engineio import raw_client, read_until_closed
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.servers import Serve
from tests.support.waiting import until

WEBSOCKET = ["websocket"]


def made(**options: Any) -> tuple[SocketIOServer, socketio.ASGIApp]:
    server = SocketIOServer(**options)
    return server, socketio.ASGIApp(server)


async def test_events_are_handled_and_acknowledged(serve: Serve, node: Node) -> None:
    sio, app = made()

    @sio.event
    async def echo(sid: str, *args: Json) -> tuple[Json, ...]:
        return args

    @sio.on("my custom event")
    def custom(sid: str, data: Json) -> Json:
        return {"sid": sid, "data": data}

    @sio.event
    def nothing(sid: str) -> None:
        pass

    client = await node.connect((await serve(app)).url)
    assert await client.call("echo", 1, "2", {"3": [True, None]}, b"\x00bytes") == [
        1,
        "2",
        {"3": [True, None]},
        b"\x00bytes",
    ]
    assert await client.call("my custom event", "x") == [{"sid": client.id, "data": "x"}]
    assert await client.call("nothing") == []


async def test_connect_gets_the_request_and_disconnect_a_reason(serve: Serve, node: Node) -> None:
    sio, app = made()
    seen: dict[str, Any] = {}
    gone = asyncio.Event()

    @sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: Json) -> None:
        seen.update(sid=sid, environ=environ, auth=auth)
        await sio.emit("hello", (1, 2, {"hello": "you"}), to=sid)

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        seen["reason"] = reason
        seen["environ at the end"] = sio.get_environ(sid)
        gone.set()

    client = await node.connect(
        (await serve(app)).url,
        auth={"token": "123"},
        headers={"X-Test": "yes"},
        query={"room": "a b"},
        transports=WEBSOCKET,
    )
    assert (await client.expect("hello")).args == [1, 2, {"hello": "you"}]
    assert (seen["sid"], seen["auth"]) == (client.id, {"token": "123"})
    environ = seen["environ"]
    assert environ["HTTP_X_TEST"] == "yes"
    assert "room=a+b" in environ["QUERY_STRING"]
    assert environ["PATH_INFO"] == "/socket.io/"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["asgi.scope"]["type"] == "websocket"
    assert (b"x-test", b"yes") in environ["asgi.scope"]["headers"]
    assert client.id is not None
    assert sio.get_environ(client.id) is environ
    assert sio.transport(client.id) == "websocket"
    await client.disconnect()
    await gone.wait()
    assert seen["reason"] == sio.reason.CLIENT_DISCONNECT
    assert seen["environ at the end"] is environ
    assert sio.get_environ(client.id) is None


@pytest.mark.parametrize(
    ("outcome", "message", "data"),
    [
        (False, "Connection rejected by server", None),
        (socketio.exceptions.ConnectionRefusedError(), "Connection rejected by server", None),
        (socketio.exceptions.ConnectionRefusedError("no"), "no", None),
        (socketio.exceptions.ConnectionRefusedError("no", {"why": 1}), "no", {"why": 1}),
        (socketio.exceptions.ConnectionRefusedError("no", 1, 2), "no", [1, 2]),
        (ConnectionRefusedError("secret"), "Connection refused by server", None),
        (KeyError("secret"), "internal error", {"code": "INTERNAL"}),
    ],
)
async def test_a_connect_handler_refuses_the_client(
    serve: Serve, node: Node, outcome: Any, message: str, data: Json
) -> None:
    sio, app = made()
    ended: list[str] = []

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> Json:
        await sio.enter_room(sid, "room")
        await sio.save_session(sid, {"user": 1})
        await sio.emit("hello", to=sid)
        await sio.emit("hello")
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        ended.append(sid)

    with pytest.raises(ConnectRefused) as refused:
        await node.connect((await serve(app)).url)
    assert (refused.value.message, refused.value.data) == (message, data)
    gateway = sio.gateway_for("/")
    assert gateway is not None
    rooms = gateway.context.hub.rooms(gateway.name)
    assert len(rooms) == 0 and not rooms.names and not ended


async def test_a_client_gets_no_broadcast_before_connect_has_accepted_it(serve: Serve, node: Node) -> None:
    sio, app = made()
    entered, let_in = asyncio.Event(), asyncio.Event()

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await sio.enter_room(sid, "room")
        entered.set()
        await let_in.wait()
        await sio.emit("first", to=sid)

    client = await node.connect((await serve(app)).url, wait=False)
    await entered.wait()
    await sio.emit("early", room="room")
    assert client.events == []
    let_in.set()
    await client.connection()
    await client.expect("first")
    await client.expect("early")
    assert client.event_names == ["first", "early"]


async def test_events_are_sent_to_rooms_except_skipped_clients(serve: Serve, node: Node) -> None:
    sio, app = made()
    url = (await serve(app)).url
    a, b, c = [await node.connect(url, transports=WEBSOCKET) for _ in range(3)]
    sids = [client.id or "" for client in (a, b, c)]
    await sio.enter_room(sids[0], "red")
    await sio.enter_room(sids[1], "red")
    await sio.enter_room(sids[1], "blue")
    assert set(sio.rooms(sids[1])) == {sids[1], "red", "blue"}

    await sio.emit("one", 1, room="red")
    await sio.emit("two", 2, to=["red", "blue"])
    await sio.emit("three", 3, to="red", skip_sid=sids[0])
    await sio.emit("four", 4, skip_sid=[sids[0], sids[1]])
    await sio.emit("five", (5, 5), to=sids[2])
    await sio.send("six")
    for client in (a, b, c):
        assert (await client.expect("message")).args == ["six"]
    assert a.event_names == ["one", "two", "message"]
    assert b.event_names == ["one", "two", "three", "message"]
    assert c.event_names == ["four", "five", "message"]
    assert c.events[1].args == [5, 5]

    await sio.leave_room(sids[0], "red")
    await sio.emit("left", room="red")
    await sio.emit("unknown", to=[])
    await sio.close_room("red")
    await sio.emit("closed", room="red")
    await sio.emit("unknown", room="no such room")
    await sio.emit("end")
    for client in (a, b, c):
        await client.expect("end")
    assert "left" not in a.event_names and "left" in b.event_names
    assert not {"closed", "unknown"} & {*a.event_names, *b.event_names}
    assert set(sio.rooms(sids[1])) == {sids[1], "blue"}
    with pytest.raises(ValueError):
        await sio.enter_room("unknown", "red")
    assert sio.rooms("unknown") == []


async def test_emit_accepts_any_payload(serve: Serve, node: Node) -> None:
    sio, app = made()
    client = await node.connect((await serve(app)).url)
    payloads: list[Any] = [None, 0, "", [], [1, b"x"], {"a": {"b": b"y"}}, b"z", (), (None,), (1, [2], b"3"), "消息"]
    for payload in payloads:
        await sio.emit("x", payload)
        await sio.emit("x", payload, to=client.id)
        received = [(await client.expect("x")).args for _ in range(2)]
        assert received == [list(payload) if isinstance(payload, tuple) else [] if payload is None else [payload]] * 2
    with pytest.raises(TypeError):
        await sio.emit("x", object())


async def test_calls_and_callbacks(serve: Serve, node: Node) -> None:
    sio, app = made()
    early: asyncio.Queue[tuple[Json, ...]] = asyncio.Queue()

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        async def later(*values: Json) -> None:
            early.put_nowait(values)

        await sio.emit("ask", to=sid, callback=later)

    @sio.event
    async def ask_me(sid: str) -> Json:
        return await sio.call("ask", "who", to=sid)

    client = await node.connect((await serve(app)).url, wait=False)
    await client.answer("ask", "me", 2)
    await client.connection()
    assert await early.get() == ("me", 2)
    assert await sio.call("ask", sid=client.id) == ("me", 2)
    assert await client.call("ask_me") == ["me", 2]
    await client.answer("ask", ["a", "list"])
    assert await sio.call("ask", to=client.id) == ["a", "list"]
    await client.answer("ask")
    assert await sio.call("ask", to=client.id) is None
    with pytest.raises(socketio.exceptions.TimeoutError):
        await sio.call("never answered", to=client.id, timeout=0.05)
    with pytest.raises(socketio.exceptions.TimeoutError):
        await sio.call("ask", to="unknown")
    with pytest.raises(ValueError):
        await sio.call("ask")


@pytest.mark.parametrize("exits", [False, True])
async def test_a_failing_callback_affects_no_client(
    exits: bool, serve: Serve, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    sio, app = made()
    called = asyncio.Event()

    def fails(*values: Json) -> None:
        if exits:
            sys.exit("one of its callbacks")
        assert not values, "the client sends two values"
        called.set()

    client = await node.connect((await serve(app)).url)
    await client.answer("ask", 1, 2)
    await sio.emit("ask", to=client.id, callback=fails)
    await client.expect("ask")
    assert await sio.call("ask", to=client.id) == (1, 2)
    assert "/: a task failed (callback fails)" in caplog.text and not called.is_set()


async def test_every_recipient_of_a_room_is_called(serve: Serve, node: Node) -> None:
    sio, app = made()
    url = (await serve(app)).url
    answers: asyncio.Queue[Json] = asyncio.Queue()
    for number in range(2):
        await (await node.connect(url)).answer("ask", number)
    await sio.emit("ask", callback=answers.put)
    assert {await answers.get(), await answers.get()} == {0, 1}


@pytest.mark.parametrize("how", ["callback", "call"])
async def test_a_recipient_that_ends_during_an_emit_with_a_callback_costs_the_others_nothing(
    serve: Serve, how: str
) -> None:
    sio, app = made()
    server = await serve(app)
    async with (
        raw_client(server, "polling") as first,
        raw_client(server, "polling") as slow,
        raw_client(server, "polling") as last,
    ):
        sids = [json.loads((await client.connect()).removeprefix("40"))["sid"] for client in (first, slow, last)]
        await sio.enter_room(sids[1], "slow")
        await sio.emit("fill", "x" * 1_000_000, to=sids[1])
        # Over `Limits.outbox_bytes`. Written at the end of the tick, or before the next event to a single client.
        await sio.emit("fill", "x" * 60_000, room="slow")
        if how == "call":
            with pytest.raises(socketio.exceptions.TimeoutError):
                async with asyncio.timeout(5.0):
                    await sio.call("ask", to=sids[1])
        else:
            await sio.emit("ask", callback=print)
            assert sio.manager.is_connected(sids[1], "/") is False
            assert await last.next() == '420["ask"]'


@pytest.mark.parametrize("to", ["a room", "a client", "a client, with a callback"])
async def test_every_emit_is_within_the_limits_of_broadcasts(serve: Serve, to: str) -> None:
    sio, app = made()
    async with raw_client(await serve(app), "websocket") as client:
        sid = json.loads((await client.connect()).removeprefix("40"))["sid"]
        await sio.enter_room(sid, "room")
        options: dict[str, Any] = {"to": "room" if to == "a room" else sid}
        if to == "a client, with a callback":
            options["callback"] = print
        with pytest.raises(PayloadTooLarge):
            await sio.emit("x", "y" * Limits().publication_bytes, **options)
        for name in ("n" * 201, "\N{EURO SIGN}" * 100, "disconnect"):
            with pytest.raises(ValueError):
                await sio.emit(name, 1, **options)
        await sio.emit("\N{EURO SIGN}" * 66, 1, **options)
        assert "\N{EURO SIGN}" * 66 in await client.next()


async def test_an_emit_in_a_connect_handler_that_cannot_be_encoded_raises_there(serve: Serve) -> None:
    sio, app = made()
    refused: list[TypeError] = []

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        try:
            await sio.emit("bad", object(), to=sid, callback=print)
        except TypeError as error:
            refused.append(error)
        await sio.emit("good", 1, to=sid, callback=print)

    async with raw_client(await serve(app), "websocket") as client:
        await client.connect()
        assert await client.next() == '420["good",1]'
    assert len(refused) == 1


async def test_names_of_namespaces_that_refuse_every_client_leave_room_for_others(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.socketio.base_server.MOST_NAMESPACES", 50)
    sio, app = made(namespaces="*")

    @sio.on("connect", namespace="*")
    async def connect(namespace: str, sid: str, environ: dict[str, Any], auth: Json) -> bool:
        return auth is not None

    server = await serve(app)
    async with raw_client(server, "websocket") as client:
        for number in range(51):
            assert (await client.connect(namespace=f"/{number},")).startswith("44")
    async with raw_client(server, "websocket") as client:
        assert (await client.connect({"token": 1}, "/valid,")).startswith("40/valid,")
        await sio.emit("x", namespace="/valid")
        assert await client.next() == '42/valid,["x"]'
    assert len(sio.gateways) == 50


async def test_a_namespace_with_clients_is_not_removed(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_realtime.socketio.base_server.MOST_NAMESPACES", 2)
    sio, app = made(namespaces="*")
    connecting, allow, leaving, left = (asyncio.Event() for _ in range(4))

    @sio.on("connect", namespace="*")
    async def connect(namespace: str, sid: str, environ: dict[str, Any]) -> None:
        if namespace == "/slow":
            connecting.set()
            await allow.wait()

    @sio.on("disconnect", namespace="*")
    async def disconnect(namespace: str, sid: str, reason: str) -> None:
        leaving.set()
        await left.wait()

    async with raw_client(await serve(app), "websocket") as client:
        await client.connect(namespace="/first,")
        await client.send("0/slow,")
        await connecting.wait()
        refused = '44/third,{"message":"Invalid namespace"}'
        assert await client.connect(namespace="/third,") == refused
        await client.send("1/first,")
        await leaving.wait()
        assert await client.connect(namespace="/third,") == refused
        left.set()
        await until(lambda: sio.gateways[GatewayName("/first")].unused)
        assert (await client.connect(namespace="/third,")).startswith("40/third,")
        assert [*sio.gateways] == ["/slow", "/third"]
        allow.set()
        assert (await client.next()).startswith("40/slow,")
        assert await client.connect(namespace="/first,") == refused.replace("third", "first")


async def test_where_metrics_keep_the_names_of_namespaces_none_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("asgi_realtime.socketio.base_server.MOST_NAMESPACES", 2)
    sio = SocketIOServer(namespaces="*")
    async with Realtime(gateways=[sio], metrics=RecordedMetrics()):
        assert [sio.gateway_for(f"/{number}") is not None for number in range(4)] == [True, True, False, False]
        assert sio.gateway_for("/0") is not None


async def test_sessions_live_as_long_as_their_clients(serve: Serve, node: Node) -> None:
    sio, app = made()
    ended: asyncio.Queue[Json] = asyncio.Queue()

    @sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: Json) -> None:
        await sio.save_session(sid, {"user": auth["user"]})

    @sio.event
    async def count(sid: str) -> Json:
        async with sio.session(sid) as session:
            session["count"] = session.get("count", 0) + 1
        return await sio.get_session(sid)

    @sio.event
    async def disconnect(sid: str) -> None:
        ended.put_nowait((await sio.get_session(sid), sio.rooms(sid)))

    client = await node.connect((await serve(app)).url, auth={"user": "ann"})
    await client.call("count")
    assert await client.call("count") == [{"user": "ann", "count": 2}]
    sid = client.id or ""
    await sio.enter_room(sid, "room")
    await client.disconnect()
    session, rooms = await ended.get()
    assert session == {"user": "ann", "count": 2}
    assert set(rooms) == {sid, "room"}
    with pytest.raises(KeyError):
        await sio.get_session(sid)
    with pytest.raises(KeyError):
        sio.transport(sid)


async def test_disconnect_by_the_server(serve: Serve, node: Node) -> None:
    sio, app = made(namespaces=["/", "/other"])
    reasons: asyncio.Queue[str] = asyncio.Queue()

    @sio.on("disconnect request")
    async def disconnect_request(sid: str) -> None:
        await sio.disconnect(sid)

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        reasons.put_nowait(reason)

    client = await node.connect((await serve(app)).url)
    other = await client.share("/other")
    await client.emit("disconnect request")
    assert await client.disconnection() == "io server disconnect"
    assert await reasons.get() == sio.reason.SERVER_DISCONNECT
    assert other.connected
    await sio.emit("still here", namespace="/other")
    await other.expect("still here")
    await sio.disconnect("unknown")


async def test_one_clients_events_run_in_order(serve: Serve, node: Node) -> None:
    sio, app = made()
    running = 0
    seen: list[int] = []
    done = asyncio.Event()

    @sio.event
    async def step(sid: str, number: int) -> None:
        nonlocal running
        running += 1
        assert running == 1
        await asyncio.sleep(0)
        seen.append(number)
        running -= 1
        if number == 39:
            done.set()

    client = await node.connect((await serve(app)).url)
    for number in range(40):
        await client.emit("step", number)
    await done.wait()
    assert seen == list(range(40))


@pytest.mark.parametrize("event", ["connect", "disconnect"])
async def test_connect_and_disconnect_cannot_be_forged(serve: Serve, event: str) -> None:
    sio, app = made()
    calls: asyncio.Queue[str] = asyncio.Queue()

    @sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        calls.put_nowait("connected")

    @sio.event
    def disconnect(sid: str, reason: str) -> None:
        calls.put_nowait(reason)

    async with raw_client(await serve(app), "websocket") as client:
        await client.send("0")
        await client.receive()
        await client.send(f'2["{event}","forged",{{}}]')
        assert await read_until_closed(client) == []
    assert [await calls.get(), await calls.get()] == ["connected", sio.reason.TRANSPORT_ERROR]
    assert calls.empty()


async def test_a_client_that_breaks_off_while_connecting_leaves_nothing(serve: Serve) -> None:
    sio, app = made()
    entered, never = asyncio.Event(), asyncio.Event()

    @sio.event
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await sio.enter_room(sid, "room")
        await sio.emit("ask", to=sid, callback=print)
        entered.set()
        await never.wait()

    async with raw_client(await serve(app), "websocket") as client:
        await client.send("0")
        await entered.wait()
    gateway = sio.gateway_for("/")
    assert gateway is not None
    await gateway.context.tasks.until_idle()
    rooms = gateway.context.hub.rooms(gateway.name)
    assert len(rooms) == 0 and not rooms.names


async def test_failing_handlers_and_events_without_a_handler_are_not_acknowledged(serve: Serve, node: Node) -> None:
    sio, app = made()

    @sio.event
    async def fails(sid: str) -> None:
        raise KeyError(sid)

    @sio.event
    def ok(sid: str) -> str:
        return "ok"

    client = await node.connect((await serve(app)).url)
    await client.emit("unknown", 1)
    await client.emit("fails")
    with pytest.raises(TimeoutError):
        await client.call("unknown", timeout=0.1)
    assert await client.call("ok") == ["ok"]
    assert client.events == []


async def test_clients_connect_to_namespaces_with_handlers_only(serve: Serve, node: Node) -> None:
    sio, app = made(namespaces=[])

    @sio.on("ask", namespace="/chat")
    def ask(sid: str) -> str:
        return "chat"

    @sio.event(namespace="/chat")
    def own(sid: str) -> str:
        return "own"

    server = await serve(app)
    chat = await node.connect(server.url, "/chat")
    assert await chat.call("ask") == ["chat"]
    assert await chat.call("own") == ["own"]
    await sio.emit("x", namespace="/chat")
    await sio.emit("x", namespace="/nowhere")
    await chat.expect("x")
    for namespace in ("/", "/other"):
        with pytest.raises(ConnectRefused) as refused:
            await node.connect(server.url, namespace)
        assert refused.value.message == "Invalid namespace"

    @sio.on("ask", namespace="/late")
    def late(sid: str) -> str:
        return "late"

    assert await (await node.connect(server.url, "/late")).call("ask") == ["late"]


async def test_catch_all_handlers_get_events_without_a_handler_of_their_own(serve: Serve, node: Node) -> None:
    sio, app = made(namespaces="*")

    @sio.on("*")
    async def any_event(event: str, sid: str, *args: Json) -> Json:
        return ["any event", event, *args]

    @sio.on("known", namespace="*")
    def any_namespace(namespace: str, sid: str, *args: Json) -> Json:
        return ["any namespace", namespace, *args]

    @sio.on("*", namespace="*")
    async def anything(event: str, namespace: str, sid: str, *args: Json) -> Json:
        return ["anything", event, namespace, *args]

    class Pending(socketio.AsyncNamespace):
        def on_connect(self, namespace: str, sid: str, environ: dict[str, Any]) -> None:
            connected.append(namespace)

    connected: list[str] = []
    sio.register_namespace(Pending("*"))
    url = (await serve(app)).url
    root, other = await node.connect(url), await node.connect(url, "/any")
    assert connected == ["/", "/any"]
    assert await root.call("x", 1) == [["any event", "x", 1]]
    assert await other.call("known", 1) == [["any namespace", "/any", 1]]
    assert await other.call("x", 1) == [["anything", "x", "/any", 1]]


async def test_background_tasks_end_with_the_server(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEW_DRAIN_TIMEOUT", "3600")  # they are not awaited
    sio, app = made()
    begun, ended = asyncio.Event(), asyncio.Event()

    async def forever(name: str) -> None:
        try:
            begun.set()
            await sio.sleep(3600)
        finally:
            ended.set()

    server = await serve(app)
    task = sio.start_background_task(forever, "x")
    await begun.wait()
    await server.stop()
    await ended.wait()
    assert task.done()
    await sio.shutdown()
