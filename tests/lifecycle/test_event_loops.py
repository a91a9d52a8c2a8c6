"""One app on several event loops, in sequence or at the same time: what works, and which errors the rest raises."""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import inspect
import signal
import warnings
import weakref
from collections.abc import Callable, Coroutine, Sequence
from typing import Annotated, Any

import anyio.from_thread
import anyio.to_thread
import httpx
import pytest
from fastapi import Depends, FastAPI
from starlette.websockets import WebSocketDisconnect

from asgi_realtime import (
    Broadcaster,
    BrokerUnavailable,
    ChatBroadcaster,
    ChatGateway,
    ChatMessage,
    ConfigurationError,
    Connection,
    Delivery,
    EventsBroadcaster,
    EventsGateway,
    Handshake,
    Identity,
    JobsBroadcaster,
    MewBroadcaster,
    RealtimeMiddleware,
    SavedMessage,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    WebSocketGateway,
    get_broadcaster,
    get_events_broadcaster,
    on,
)
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.lifecycle.mounting import Mountable
from asgi_realtime.realtime import Realtime
from asgi_realtime.testing import RealtimeTestClient
from tests.support.recording import RecordingTransport
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import until

with warnings.catch_warnings():
    warnings.simplefilter(
        "ignore"
    )  # the test client of FastAPI and Starlette is deprecated in favour of one with the same API
    from fastapi.testclient import TestClient

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0, drain_timeout=0.5)


class Room(SocketIOGateway):
    """Counts its starts and keeps its connections."""

    def __init__(self) -> None:
        super().__init__("/")
        self.starts = 0
        self.connections: list[Connection] = []

    async def on_start(self) -> None:
        self.starts += 1

    async def on_connect(self, connection: Connection) -> None:
        self.connections.append(connection)
        await connection.join("tea")

    @on("block")
    def block(self, text: str) -> str:
        self.broadcaster.sync.broadcast_to_room("tea", "said", text)
        return text


class Ticker(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("tea")


class App:
    """A FastAPI app whose routes broadcast in each way."""

    def __init__(self) -> None:
        self.room = Room()
        self.sio = SocketIOServer(namespaces=["/sio"])
        self.app = FastAPI()
        gateways: list[Mountable] = [self.room, Ticker("/ticker"), EventsGateway(), self.sio]
        self.app.add_middleware(RealtimeMiddleware, gateways=gateways, settings=SETTINGS)

        @self.app.post("/async")
        async def on_the_loop(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> int:
            return (await broadcaster.of("/ticker").broadcast_to_room("tea", "news", 1)).delivered_locally

        @self.app.post("/sync")
        def in_a_thread(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> int:
            return broadcaster.sync.of("/ticker").broadcast_to_room("tea", "news", 1).delivered_locally

        @self.app.post("/typed")
        def typed(events: Annotated[EventsBroadcaster, Depends(get_events_broadcaster)]) -> int:
            return events.sync.message("ann", "hello").delivered_locally

        @self.app.get("/plain")
        async def plain() -> str:
            return "plain"


@pytest.fixture
def app() -> App:
    return App()


PATHS = ["/async", "/sync", "/typed"]


@pytest.mark.parametrize("path", PATHS)
def test_a_test_client_without_a_lifespan_starts_the_app_for_each_request(path: str, app: App) -> None:
    client = TestClient(app.app)
    for number in range(3):
        assert client.post(path).json() == 0
        assert app.room.starts == number + 1


@pytest.mark.parametrize("path", PATHS)
def test_a_test_client_with_a_lifespan_can_be_entered_twice(path: str, app: App) -> None:
    for number in range(2):
        with TestClient(app.app) as client:
            assert [client.post(path).json() for _ in range(3)] == [0, 0, 0]
        assert app.room.starts == number + 1
    assert TestClient(app.app).post(path).json() == 0


@pytest.mark.parametrize("path", PATHS)
def test_each_test_may_use_a_new_event_loop(path: str, app: App) -> None:
    async def one() -> int:
        transport = httpx.ASGITransport(app.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            assert (await client.post(path)).json() == 0
            return int((await client.post(path)).json())

    assert [asyncio.run(one(), debug=True) for _ in range(3)] == [0, 0, 0]
    assert app.room.starts == 3


def connect(client: TestClient) -> Any:
    return client.websocket_connect(f"/ticker?token={create_token('ann', SETTINGS)}&recovery=false")


@pytest.mark.parametrize("path", ["/async", "/sync"])
def test_websockets_of_a_test_client_with_a_lifespan_receive_broadcasts(path: str, app: App) -> None:
    with TestClient(app.app) as client, connect(client) as first, connect(client) as second:
        for socket in (first, second):
            assert socket.receive_json()["type"] == "auth_success"
        assert client.post(path).json() == 2
        for socket in (first, second):
            assert socket.receive_json() == {"type": "news", "data": 1}


def test_websockets_of_a_test_client_without_a_lifespan_receive_broadcasts_of_threads_only(
    app: App, caplog: pytest.LogCaptureFixture
) -> None:
    """Each request runs on another loop than the WebSocket: threads work, coroutines get an error."""
    client = TestClient(app.app)
    for _ in range(2):
        with connect(client) as socket:
            assert socket.receive_json()["type"] == "auth_success"
            assert client.get("/plain").json() == "plain"
            assert client.post("/sync").json() == 1
            assert socket.receive_json() == {"type": "news", "data": 1}
            with pytest.raises(RuntimeError, match=r"broadcaster\.sync"):
                client.post("/async")
            assert client.post("/sync").json() == 1
            for _ in range(2):
                assert client.get("/socket.io/?EIO=4&transport=polling").status_code == 500
            with pytest.raises(WebSocketDisconnect), connect(client):
                pass
            socket.send_json({"type": "ping"})
            assert socket.receive_json() == {"type": "news", "data": 1}
            assert socket.receive_json() == {"type": "pong"}
    assert client.post("/async").json() == 0
    errors = [record.message for record in caplog.records if "another event loop" in record.message]
    assert len(errors) == 2, "one line for each loop"
    assert all("with TestClient(app) as client" in message for message in errors)


async def test_a_polling_session_of_a_loop_that_has_ended_is_gone(app: App) -> None:
    client = TestClient(app.app)
    opened = await anyio.to_thread.run_sync(client.get, "/socket.io/?EIO=4&transport=polling")
    sid = opened.text.split('"sid":"')[1].split('"')[0]
    answer = await anyio.to_thread.run_sync(client.get, f"/socket.io/?EIO=4&transport=polling&sid={sid}")
    assert answer.status_code == 400


async def enter(room: Room) -> RecordingTransport:
    transport = RecordingTransport(gateway=room)
    await room.open(Handshake(gateway=room.name, auth={"token": create_token("ann", SETTINGS)}), transport)
    return transport


def test_a_loop_that_is_closed_without_a_stop_leaves_nothing_behind() -> None:
    room = Room()
    realtime = Realtime(gateways=[room, Ticker("/ticker")], settings=SETTINGS)
    broadcaster = realtime.broadcaster

    async def session() -> tuple[int, set[str]]:
        await realtime.start()
        before = await broadcaster.online_users()
        await enter(room)
        return (await broadcaster.broadcast_to_room("tea", "x")).delivered_locally, before

    for number in range(3):
        loop = asyncio.new_event_loop()
        assert loop.run_until_complete(session()) == (1, set())
        loop.close()
        with pytest.raises(RuntimeError, match="not running"):
            broadcaster.sync.broadcast_to_all("x")
        with pytest.raises(RuntimeError, match="has ended"):
            asyncio.run(broadcaster.broadcast_to_all("x"))
        assert room.starts == number + 1
    assert [connection.closed for connection in room.connections] == [True, True, False]


class Offline:
    """Has a message for each user, and hangs in the report of a delivery."""

    def __init__(self) -> None:
        self.reports = 0

    async def groups_of(self, identity: Identity) -> list[str]:
        return []

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        return SavedMessage(message)

    async def mark_read(self, identity: Identity, chat_id: str) -> None: ...

    async def pending_messages(self, identity: Identity, limit: int) -> list[ChatMessage]:
        return [ChatMessage(id="m1", from_id="bob", to_id="ann", chat_type="single", content="hi", timestamp=1)]

    async def messages_delivered(self, batch: Sequence[Delivery]) -> None:
        self.reports += 1
        await asyncio.Event().wait()


def test_deliveries_of_a_loop_that_has_ended_hold_up_no_others() -> None:
    service = Offline()
    chat = ChatGateway(service=service)
    realtime = Realtime(gateways=[chat], settings=SETTINGS)

    async def session(number: int) -> None:
        await realtime.start()
        handshake = Handshake(gateway=chat.name, auth={"token": create_token("ann", SETTINGS)})
        await chat.open(handshake, RecordingTransport(gateway=chat))
        await until(lambda: service.reports == number)

    async def give_up() -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    loops = [asyncio.new_event_loop() for _ in range(2)]
    for number, loop in enumerate(loops, 1):
        loop.run_until_complete(asyncio.wait_for(session(number), 20))
    for loop in loops:  # the first loop did not run for a while and counts as ended
        loop.run_until_complete(give_up())
        loop.close()
    assert service.reports == 2


def test_signal_handlers_do_not_accumulate() -> None:
    """Each test has a separate app and loop in the main thread. The clients of most frameworks run no lifespan."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    apps = [Realtime(gateways=[Room()], settings=SETTINGS) for _ in range(4)]
    loop = asyncio.new_event_loop()
    try:
        for realtime in (*apps, apps[0]):  # the first one again
            ended, loop = loop, asyncio.new_event_loop()
            ended.close()
            loop.run_until_complete(realtime.start())
        forgotten = [weakref.ref(realtime) for realtime in apps[1:]]
        del realtime, apps[1:]
        gc.collect()
        assert [each() for each in forgotten] == [None, None, None]
        loop.run_until_complete(apps[0].stop())
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        loop.close()
        signal.signal(signal.SIGINT, before)


def test_a_thread_that_waits_for_a_closed_loop_is_released() -> None:
    realtime = Realtime(gateways=[Room()], settings=SETTINGS)

    async def until_a_thread_waits() -> concurrent.futures.Future[None]:
        await realtime.start()
        begun = asyncio.Event()

        async def forever() -> None:
            begun.set()
            await asyncio.Event().wait()

        waiting = pool.submit(realtime.broadcaster.sync.run, forever())
        await begun.wait()
        return waiting

    with concurrent.futures.ThreadPoolExecutor() as pool:
        loop = asyncio.new_event_loop()
        waiting = loop.run_until_complete(until_a_thread_waits())
        loop.close()
        with pytest.raises(RuntimeError, match="stopped before"):
            waiting.result(20)


async def test_a_start_on_a_second_running_loop_is_refused() -> None:
    room = Room()
    realtime = Realtime(gateways=[room], settings=SETTINGS)

    async def another() -> None:
        with pytest.raises(ConfigurationError, match="another event loop"):
            await realtime.start()
        await realtime.stop()  # another loop

    async with realtime:
        await asyncio.to_thread(asyncio.run, another())
        assert (await realtime.broadcaster.broadcast_to_all("x")).delivered_locally == 0
    assert room.starts == 1


# Awaited on another loop

BROADCASTER: dict[str, Callable[[Broadcaster, Connection], Coroutine[Any, Any, object]]] = {
    "broadcast_to_room": lambda broadcaster, _: broadcaster.broadcast_to_room("tea", "x"),
    "broadcast_to_user": lambda broadcaster, _: broadcaster.broadcast_to_user("ann", "x"),
    "broadcast_to_users": lambda broadcaster, _: broadcaster.broadcast_to_users(["ann"], "x"),
    "broadcast_to_all": lambda broadcaster, _: broadcaster.broadcast_to_all("x"),
    "of": lambda broadcaster, _: broadcaster.of("/").broadcast_to_all("x"),
    "add_user_to_room": lambda broadcaster, _: broadcaster.add_user_to_room("ann", "coffee"),
    "remove_user_from_room": lambda broadcaster, _: broadcaster.remove_user_from_room("ann", "tea"),
    "close_room": lambda broadcaster, _: broadcaster.close_room("tea"),
    "refresh_rooms": lambda broadcaster, _: broadcaster.refresh_rooms("ann"),
    "refresh_members": lambda broadcaster, _: broadcaster.refresh_members("tea"),
    "disconnect_user": lambda broadcaster, _: broadcaster.disconnect_user("ann"),
    "disconnect_members": lambda broadcaster, _: broadcaster.disconnect_members("tea"),
    "disconnect_connection": lambda broadcaster, _: broadcaster.disconnect_connection("x"),
    "take_over": lambda broadcaster, connection: broadcaster.take_over(connection, "x"),
    "revoke_token": lambda broadcaster, _: broadcaster.revoke_token("x"),
    "revoke_user": lambda broadcaster, _: broadcaster.revoke_user("ann"),
    "online_users": lambda broadcaster, _: broadcaster.online_users(),
    "is_online": lambda broadcaster, _: broadcaster.is_online("ann"),
    "position": lambda broadcaster, _: broadcaster.position("tea"),
    "MewBroadcaster": lambda broadcaster, _: MewBroadcaster(broadcaster).member_leave("tea", "ann"),
    "EventsBroadcaster": lambda broadcaster, _: EventsBroadcaster(broadcaster).user_left("ann", "tea"),
    "ChatBroadcaster": lambda broadcaster, _: ChatBroadcaster(broadcaster).kick("ann"),
    "JobsBroadcaster": lambda broadcaster, _: JobsBroadcaster(broadcaster).status("tea", "x"),
    "connection.send": lambda _, connection: connection.send("x"),
    "connection.call": lambda _, connection: connection.call("x", timeout=0.1),
    "connection.join": lambda _, connection: connection.join("coffee"),
    "connection.leave": lambda _, connection: connection.leave("tea"),
    "connection.close": lambda _, connection: connection.close(),
}
SERVER: dict[str, Callable[[SocketIOServer, str], Coroutine[Any, Any, object]]] = {
    "emit": lambda sio, _: sio.emit("x", namespace="/sio"),
    "emit to one": lambda sio, sid: sio.emit("x", to=sid, namespace="/sio"),
    "emit with a callback": lambda sio, sid: sio.emit("x", to=sid, namespace="/sio", callback=print),
    "send": lambda sio, sid: sio.send("x", to=sid, namespace="/sio"),
    "call": lambda sio, sid: sio.call("x", to=sid, namespace="/sio", timeout=0.1),
    "enter_room": lambda sio, sid: sio.enter_room(sid, "coffee", "/sio"),
    "leave_room": lambda sio, sid: sio.leave_room(sid, sid, "/sio"),
    "close_room": lambda sio, _: sio.close_room("coffee", "/sio"),
    "disconnect": lambda sio, sid: sio.disconnect(sid, "/sio"),
}


def test_the_cross_loop_tests_cover_every_async_method() -> None:
    for kind, tried in ((Broadcaster, BROADCASTER), (Connection, BROADCASTER), (SocketIOServer, SERVER)):
        methods = {
            name for name, member in vars(kind).items() if inspect.iscoroutinefunction(member) and name[0] != "_"
        }
        methods -= {
            "publish",
            "get_session",
            "save_session",
            "sleep",
            "shutdown",
        }  # these have no effect, or other tests try them
        assert methods <= {name.removeprefix("connection.") for name in tried}


@pytest.mark.parametrize("method", BROADCASTER)
async def test_methods_awaited_on_another_loop_raise_and_do_nothing(method: str, app: App) -> None:
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann")) as socket,
    ):
        with pytest.raises(RuntimeError, match=r"broadcaster\.sync"):
            await asyncio.to_thread(asyncio.run, BROADCASTER[method](client.broadcaster, app.room.connections[0]))
        await socket.expect_nothing()
        assert socket.rooms == {"tea"}
        await client.broadcaster.broadcast_to_room("tea", "still there")
        await socket.expect("still there")


@pytest.mark.parametrize("method", SERVER)
async def test_a_socketio_server_awaited_on_another_loop_raises_and_does_nothing(method: str, app: App) -> None:
    async with RealtimeTestClient(app.app) as client, client.connect("/sio") as socket:
        (sid,) = socket.rooms
        with pytest.raises(RuntimeError, match=r"broadcaster\.sync"):
            await asyncio.to_thread(asyncio.run, SERVER[method](app.sio, sid))
        await socket.expect_nothing()
        assert socket.rooms == {sid}


async def test_public_calls_from_a_thread_reach_the_loop(app: App) -> None:
    async with (
        RealtimeTestClient(app.app) as client,
        client.connect("/", token=client.token("ann")) as socket,
    ):
        connection = app.room.connections[0]

        def in_a_thread() -> None:
            client.broadcaster.sync.broadcast_to_room("tea", "sync")
            anyio.from_thread.run(client.broadcaster.broadcast_to_room, "tea", "from_thread")
            anyio.from_thread.run(connection.send, "connection")

        await anyio.to_thread.run_sync(in_a_thread)
        for event in ("sync", "from_thread", "connection"):
            await socket.expect(event)
        assert await socket.call("block", "hello") == "hello"
        await socket.expect("said")
        with pytest.raises(RuntimeError, match="own thread"):
            client.broadcaster.sync.broadcast_to_all("x")


async def test_calls_before_start_up_and_after_shutdown_raise() -> None:
    realtime = Realtime(gateways=[Room()], settings=SETTINGS)
    for _ in range(2):
        with pytest.raises(BrokerUnavailable, match="has not started yet, or has stopped"):
            await realtime.broadcaster.broadcast_to_all("x")
        with pytest.raises(RuntimeError, match="not running"):
            await asyncio.to_thread(realtime.broadcaster.sync.broadcast_to_all, "x")
        async with realtime:
            await realtime.broadcaster.broadcast_to_all("x")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_server_is_started_once(implementation: Implementation, app: App, serve: Serve) -> None:
    server = await serve(app.app, implementation)
    async with httpx.AsyncClient() as http:
        for path in PATHS:
            assert (await http.post(server.url + path)).json() == 0
    assert app.room.starts == 1
