"""The in-process test client, used as in the tests of a host."""

from __future__ import annotations

import asyncio
import dataclasses
import gc
import logging
import math
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Annotated, Any, TypedDict

import pytest
from fastapi import Depends, FastAPI, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    Connection,
    Forbidden,
    Handshake,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    WebSocketGateway,
    get_broadcaster,
    on,
)
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from asgi_realtime.testing.wire import Transport

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes", presence_grace=0.0)
both_transports = pytest.mark.parametrize("transport", ["websocket", "polling"])


class Words(TypedDict):
    text: str


class Lobby(SocketIOGateway):
    """A gateway with one room for all clients, and a handler for each feature of the test client."""

    def __init__(self, namespace: str = "/") -> None:
        super().__init__(namespace)
        self.log: list[str] = []
        self.slow = asyncio.Event()
        self.presented: Handshake | None = None

    async def on_connect(self, connection: Connection) -> None:
        self.presented = connection.handshake
        if connection.identity.user_id == "troll":
            raise Forbidden("not you")
        await connection.join("lobby")
        await connection.send("welcome", {"userId": connection.identity.user_id})

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.log.append(f"{connection.identity.user_id}: {reason}")

    @on("say")
    async def say(self, words: Words, connection: Connection) -> None:
        await asyncio.sleep(0)
        await self.broadcaster.broadcast_to_room("lobby", "said", words, except_=connection.id)

    @on("reverse")
    async def reverse(self, data: bytes) -> bytes:
        return data[::-1]

    @on("sum")
    async def sum(self, numbers: list[int]) -> int:
        return sum(numbers)

    @on("pair")
    async def pair(self) -> tuple[int, int]:
        return 1, 2

    @on("wait")
    async def wait(self) -> None:
        await self.slow.wait()

    @on("think")
    def think(self, words: Words) -> str:
        return f"{words['text']} {threading.current_thread() is threading.main_thread()}"

    @on("ask me")
    async def ask_me(self, connection: Connection) -> str:
        answer = await connection.call("question", {"n": 1})
        return f"you said {answer}"

    @on("leave me alone")
    async def leave_me_alone(self, connection: Connection) -> None:
        await connection.close(1000, "as you wish")


class Board(WebSocketGateway):
    """A JSON gateway."""

    async def on_connect(self, connection: Connection) -> None:
        if connection.identity.user_id == "troll":
            raise Forbidden("not you")
        await connection.join("board")

    @on("pin")
    async def pin(self, words: Words) -> None:
        await self.broadcaster.broadcast_to_room("board", "pinned", words)

    @on("bare")
    async def bare(self, connection: Connection) -> None:
        await connection.send("nothing to say")


@dataclasses.dataclass
class Note:
    text: str


def make_app(*gateways: Any, settings: Settings = SETTINGS) -> FastAPI:
    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        app.state.log = ["started"]
        yield {"shared": "by the lifespan"}
        app.state.log.append("stopped")

    app = FastAPI(lifespan=lifespan)
    app.add_middleware(RealtimeMiddleware, gateways=gateways or (Lobby(), Board("/board")), settings=settings)

    @app.post("/notes")
    async def create(
        text: str, request: Request, broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]
    ) -> dict[str, str]:
        await broadcaster.broadcast_to_room("lobby", "noted", Note(text))
        return {"state": request.state.shared}

    return app


@both_transports
async def test_two_clients_exchange_events(transport: Transport) -> None:
    async with RealtimeTestClient(make_app()) as client:
        async with (
            client.connect("/", token=client.token("ada"), transport=transport) as ada,
            client.connect("/", token=client.token("bob"), transport=transport) as bob,
        ):
            assert (await ada.expect("welcome")).data == {"userId": "ada"}
            assert ada.rooms == {"lobby"}
            await ada.send("say", {"text": "hi"})
            assert (await bob.expect("said")).data == {"text": "hi"}
            await ada.expect_nothing()
            assert [event.name for event in bob.events] == ["welcome", "said"]
            assert [c.identity.user_id for c in client.connections("bob")] == ["bob"]
            assert bob.connection is client.connections("bob")[0]
        await client.settle()
        assert client.connections("bob") == []
        assert ada.rooms == set()
        with pytest.raises(LookupError):
            _ = ada.connection


async def test_a_route_is_called_and_its_broadcast_expected() -> None:
    async with RealtimeTestClient(make_app()) as client, client.connect(token=client.token("ada")) as ada:
        response = await client.http.post("/notes", params={"text": "milk"})
        assert response.json() == {"state": "by the lifespan"}
        assert (await ada.expect("noted")).data == {"text": "milk"}


async def test_the_lifespan_of_the_application_runs_and_may_run_again() -> None:
    app = make_app()
    for _ in range(2):
        async with RealtimeTestClient(app) as client, client.connect(token=client.token("ada")) as ada:
            assert app.state.log == ["started"]
            assert await ada.call("sum", [1, 2]) == 3
        assert app.state.log == ["started", "stopped"]


def test_the_lifespan_may_run_again_on_another_event_loop() -> None:
    app = make_app()

    async def story() -> None:
        async with RealtimeTestClient(app) as client:
            async with client.connect(token=client.token("ada")) as ada:
                assert await ada.call("sum", [1, 2]) == 3
            async with client.connect("/board", token=client.token("ada")) as ada:
                await ada.expect("auth_success")

    for _ in range(2):
        asyncio.run(story())


@both_transports
async def test_acknowledgements_work_in_both_directions(transport: Transport) -> None:
    async with RealtimeTestClient(make_app()) as client:
        async with client.connect(token=client.token("ada"), transport=transport) as ada:
            assert await ada.call("sum", [1, 2, 3]) == 6
            assert await ada.call("pair") == [1, 2]
            assert await ada.call("reverse", b"\x00\x01") == b"\x01\x00"
            assert await ada.call("think", {"text": "in a thread?"}) == "in a thread? False"
            assert (await ada.call("unknown"))["code"] == "INVALID_MESSAGE"
            asking = asyncio.create_task(ada.call("ask me"))
            question = await ada.expect("question")
            await question.acknowledge("yes")
            assert await asking == "you said yes"
            with pytest.raises(RuntimeError, match="without asking"):
                await (await ada.expect("welcome")).acknowledge()


async def test_events_may_be_expected_in_any_order_and_by_their_data() -> None:
    async with (
        RealtimeTestClient(make_app()) as client,
        client.connect(token=client.token("ada")) as ada,
        client.connect(token=client.token("bob")) as bob,
    ):
        for text in ["one", "two", "three"]:
            await ada.send("say", {"text": text})
        assert (await bob.expect("said", where=lambda data: data["text"] == "two")).data == {"text": "two"}
        assert (await bob.expect("said")).data == {"text": "one"}
        await bob.expect("welcome")
        await bob.expect_nothing("said", where=lambda data: data["text"] == "two")
        with pytest.raises(AssertionError, match="unexpected: said {'text': 'three'}"):
            await bob.expect_nothing("said")
        await bob.expect("said")
        await bob.expect_nothing()
        assert [event.data["text"] for event in bob.events[1:]] == ["one", "two", "three"]


@both_transports
async def test_expect_nothing_waits_for_events_on_their_way(transport: Transport) -> None:
    async with (
        RealtimeTestClient(make_app()) as client,
        client.connect(token=client.token("ada"), transport=transport) as ada,
        client.connect(token=client.token("bob"), transport=transport) as bob,
    ):
        for _ in range(20):
            await ada.send("think", {"text": "first, in a thread"})
            await ada.send("say", {"text": "hi"})
            with pytest.raises(AssertionError, match="unexpected: said"):
                await bob.expect_nothing("said")
            await bob.expect("said")
            await bob.expect_nothing("said")


async def test_a_failed_expectation_shows_the_received_events() -> None:
    app = make_app(settings=dataclasses.replace(SETTINGS, drain_timeout=0.1))  # for a handler that never ends
    async with RealtimeTestClient(app) as client, client.connect(token=client.token("ada")) as ada:
        with pytest.raises(AssertionError) as failure:
            await ada.expect("said", timeout=0.01)
        assert str(failure.value) == (
            "no said within 0.01 s: 1 received, 1 of them not taken:\n  welcome {'userId': 'ada'}"
        )
        with pytest.raises(AssertionError, match="no acknowledgement of wait within 0.01 s"):
            await ada.call("wait", timeout=0.01)
        with pytest.raises(AssertionError, match="still open within 0.01 s"):
            await ada.expect_closed(timeout=0.01)
        with pytest.raises(AssertionError, match="still at work after 0.01 s"):
            await client.settle(timeout=0.01)


async def test_settling_waits_for_handlers_however_long_they_take() -> None:
    lobby = Lobby()
    async with RealtimeTestClient(make_app(lobby)) as client, client.connect(token=client.token("ada")) as ada:
        await ada.send("wait")
        await ada.send("say", {"text": "after that"})
        settling = asyncio.create_task(client.settle())
        await asyncio.wait([settling], timeout=0.05)
        assert not settling.done()
        lobby.slow.set()
        await settling


@both_transports
async def test_a_refusal_is_raised_with_the_code_and_reason_sent(transport: Transport) -> None:
    async with RealtimeTestClient(make_app()) as client:
        for token in [None, "forged", client.token("ada", expires_in=-1)]:
            with pytest.raises(ConnectionRefused) as refused:
                async with client.connect("/", token=token, transport=transport):
                    pytest.fail("accepted")
            assert refused.value.message == "invalid credentials"
            assert refused.value.data == {"code": "UNAUTHORIZED"}
        with pytest.raises(ConnectionRefused, match="not you"):
            async with client.connect("/", token=client.token("troll"), transport=transport):
                pytest.fail("accepted")
        with pytest.raises(ConnectionRefused, match="Invalid namespace"):
            async with client.connect("/nowhere", token=client.token("ada"), transport=transport):
                pytest.fail("accepted")
        with pytest.raises(ConnectionRefused) as foreign:
            async with client.connect(
                "/", token=client.token("ada"), transport=transport, headers={"Origin": "https://evil.example"}
            ):
                pytest.fail("accepted")
        assert foreign.value.status == 403
        same = {"Origin": "http://testserver"}
        async with client.connect("/", token=client.token("ada"), transport=transport, headers=same) as ada:
            await ada.expect("welcome")


async def test_credentials_travel_as_those_of_real_clients() -> None:
    lobby = Lobby()
    async with RealtimeTestClient(make_app(lobby)) as client:
        token = client.token("ada", role="admin")
        async with client.connect(headers={"Authorization": f"Bearer {token}"}) as ada:
            assert ada.connection.identity.claims["role"] == "admin"
        async with client.connect(auth={"token": token, "more": 1}, query={"v": "2"}, cookies={"a": "b"}) as ada:
            assert lobby.presented is not None
            assert lobby.presented.auth["more"] == 1
            assert lobby.presented.query["v"] == "2"
            assert lobby.presented.cookies == {"a": "b"}
            kept = ada.connection.handshake
            assert (kept.auth, kept.cookies, kept.headers) == (None, {}, {}), "credentials are not stored"
            assert (kept.query["v"], kept.client_address) == ("2", "testclient")


@both_transports
async def test_leaving_and_losing_the_network_look_different(transport: Transport) -> None:
    lobby = Lobby()
    async with RealtimeTestClient(make_app(lobby)) as client:
        async with client.connect(token=client.token("ada"), transport=transport):
            pass
        async with client.connect(token=client.token("bob"), transport=transport) as bob:
            await bob.drop()
            assert bob.closed is not None
            assert bob.closed.code == 1006
        await client.settle()
        assert lobby.log == ["ada: client disconnect", "bob: transport close"]


@both_transports
async def test_a_client_disconnected_by_the_server_reports_the_close(transport: Transport) -> None:
    async with RealtimeTestClient(make_app()) as client:
        async with client.connect(token=client.token("ada"), transport=transport) as ada:
            await ada.send("leave me alone")
            closed = await ada.expect_closed()
            if transport == "websocket":
                assert closed == (1000, "as you wish")
            with pytest.raises(AssertionError, match="no said: 1 received"):
                await ada.expect("said")
        async with client.connect(token=client.token("bob"), transport=transport) as bob:
            await client.broadcaster.disconnect_user("bob")
            await bob.expect_closed()


async def test_clients_still_connected_at_the_end_get_a_close() -> None:
    async with AsyncExitStack() as stack:
        async with RealtimeTestClient(make_app()) as client:
            ada = await stack.enter_async_context(client.connect(token=client.token("ada")))
            board = await stack.enter_async_context(client.connect("/board", token=client.token("ada")))
        assert ada.closed is not None and ada.closed.code == 1012
        assert board.closed is not None and board.closed.code == 1012


async def test_a_json_gateway_can_be_tested() -> None:
    async with RealtimeTestClient(make_app()) as client:
        async with (
            client.connect("/board", token=client.token("ada")) as ada,
            client.connect("/board", auth={"token": client.token("bob")}) as bob,
        ):
            assert (await ada.expect("auth_success")).data["userId"] == "ada"
            assert bob.rooms == {"board"}
            await ada.send("pin", {"text": "hi"})
            for socket in (ada, bob):
                assert (await socket.expect("pinned")).data == {"text": "hi"}
            await ada.send("bare")
            assert (await ada.expect("nothing to say")).data is None
            await ada.send_raw('{"type": "ping"}')
            await ada.expect("pong")
            with pytest.raises(TypeError):
                await ada.call("pin")
            assert bob.connection.identity.user_id == "bob"
        for token in ["forged", client.token("troll")]:
            with pytest.raises(ConnectionRefused) as refused:
                async with client.connect("/board", token=token):
                    pytest.fail("accepted")
            assert refused.value.data == {"message": refused.value.message}
        async with client.connect("/board") as unauthenticated:
            with pytest.raises(LookupError):
                _ = unauthenticated.connection
            await unauthenticated.send("auth", {"token": client.token("ada")})
            await unauthenticated.expect("auth_success")
        with pytest.raises(ValueError, match="is for Socket.IO"):
            async with client.connect("/board", transport="polling"):
                pytest.fail("accepted")
        with pytest.raises(ConnectionRefused):
            async with client.connect("/board", headers={"Origin": "https://evil.example"}):
                pytest.fail("accepted")


@both_transports
async def test_a_socketio_server_can_be_tested(transport: Transport) -> None:
    sio = SocketIOServer(async_mode="asgi")

    async def hello(sid: str, data: object) -> tuple[str, int]:
        await sio.emit("hey", data, to=sid)
        return "ok", 1

    async def leave(sid: str) -> None:
        await sio.disconnect(sid)

    sio.on("hello", hello)
    sio.on("leave", leave)
    async with (
        RealtimeTestClient(make_app(sio)) as client,
        client.connect("/", transport=transport) as socket,
    ):
        assert await socket.call("hello", {"bytes": [b"1", b"2"]}) == ["ok", 1]
        assert (await socket.expect("hey")).data == {"bytes": [b"1", b"2"]}
        await socket.send("leave")
        await socket.expect_closed()


async def test_everything_received_can_be_taken_at_once() -> None:
    async with (
        RealtimeTestClient(make_app()) as client,
        client.connect("/board", token=client.token("ada")) as ada,
    ):
        await ada.take_all()
        for word in ("one", "two", "three"):
            await client.broadcaster.of("/board").broadcast_to_all(word, word)
        await ada.expect("two")
        assert [(event.name, event.data) for event in await ada.take_all()] == [("one", "one"), ("three", "three")]
        assert await ada.take_all() == []
        assert [event.name for event in ada.events][-3:] == ["one", "two", "three"]


async def test_hostile_input_can_be_sent() -> None:
    async with RealtimeTestClient(make_app()) as client:
        async with client.connect(token=client.token("ada")) as ada:
            await ada.send_raw("4nonsense")
            await ada.expect_closed()
        async with client.connect("/board", token=client.token("ada")) as ada:
            await ada.send_raw(b"\x00")
            assert (await ada.expect_closed()).code == 1008


class Fragile:
    """A middleware of the host, with a bug."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def fragile_receive() -> Message:
            message = await receive()
            if "explode" in str(message):
                raise LookupError("a bug")
            return message

        if scope["type"] != "lifespan" and b"fail" in scope["query_string"]:
            raise LookupError("a bug from the start")
        await self.app(scope, fragile_receive, send)
        if scope["type"] != "lifespan" and b"hang" in scope["query_string"]:
            await asyncio.Event().wait()


@both_transports
async def test_exceptions_of_the_application_are_raised_in_the_test(transport: Transport) -> None:
    app = Fragile(make_app())
    async with RealtimeTestClient(app, timeout=0.2) as client:
        token = client.token("ada")
        with pytest.raises(LookupError, match="a bug from the start"):
            async with client.connect(token=token, transport=transport, query={"fail": "1"}):
                pytest.fail("accepted")
    async with RealtimeTestClient(app) as client:
        with pytest.raises(LookupError, match="a bug"):
            async with client.connect("/board", token=token) as ada:
                await ada.send("explode")
                await ada.expect("pinned")
        with pytest.raises(LookupError, match="a bug"):
            async with client.connect("/board", token=token) as ada:
                await ada.send("explode")


async def test_an_application_that_keeps_a_closed_connection_fails_the_test() -> None:
    async with RealtimeTestClient(Fragile(make_app()), timeout=0.2) as client:
        with pytest.raises(AssertionError, match="did not end a closed connection within 0.2 s"):
            async with client.connect("/board", token=client.token("ada"), query={"hang": "1"}):
                pass


async def test_a_test_leaves_nothing_behind(caplog: pytest.LogCaptureFixture) -> None:
    async with RealtimeTestClient(make_app()) as client:
        transports: list[Transport] = ["websocket", "polling"]
        for transport in transports:
            async with client.connect(token=client.token("ada"), transport=transport):
                pass
        await client.settle()
        tasks = {task.get_name() for task in asyncio.all_tasks() if "under test" in task.get_name()}
        assert tasks == {"lifespan of the application under test"}
    gc.collect()
    assert [record for record in caplog.records if record.levelno > logging.INFO] == []


async def test_the_error_of_an_application_that_does_not_start_is_raised() -> None:
    app = FastAPI(lifespan=fails_to_start)
    app.add_middleware(RealtimeMiddleware, gateways=[Lobby()], settings=SETTINGS)
    with pytest.raises(RuntimeError, match="the database is not there"):
        async with RealtimeTestClient(app):
            pytest.fail("started")
    broken = FastAPI()
    broken.add_middleware(RealtimeMiddleware, gateways=[Lobby()], settings=Settings())
    with pytest.raises((RuntimeError, ConfigurationError), match="MEW_JWT_SECRET"):
        async with RealtimeTestClient(broken):
            pytest.fail("started")


@asynccontextmanager
async def fails_to_start(app: FastAPI) -> AsyncIterator[None]:
    open_database()
    yield


@pytest.mark.parametrize("mounted", [True, False])
async def test_an_application_that_exits_ends_the_test_but_not_its_event_loop(mounted: bool) -> None:
    app = FastAPI(lifespan=exits)
    if mounted:
        app.add_middleware(RealtimeMiddleware, gateways=[Lobby()], settings=SETTINGS)
    with pytest.raises(RuntimeError, match="SystemExit"):
        async with RealtimeTestClient(app):
            pytest.fail("started")


@asynccontextmanager
async def exits(app: FastAPI) -> AsyncIterator[None]:
    read_arguments()
    yield


def read_arguments() -> None:
    sys.exit("a parser of arguments did this")


def open_database() -> None:
    raise RuntimeError("the database is not there")


class Echo(SocketIOGateway):
    """Answers with what came."""

    @on("echo")
    async def echo(self, sent: Any) -> Any:
        return sent


class JSONEcho(WebSocketGateway):
    """The same for JSON frames."""

    @on("echo")
    async def echo(self, sent: Any, connection: Connection) -> None:
        await connection.send("echo", sent)


async def test_numbers_that_json_has_not_are_null_as_clients_send_them() -> None:
    sent = {"rate": math.nan, "most": [-math.inf], "size": 1.5}
    async with RealtimeTestClient(make_app(Echo(), JSONEcho("/json"))) as client:
        token = client.token("ada")
        async with client.connect(token=token) as ada, client.connect("/json", token=token) as other:
            await other.send("echo", sent)
            answers = [await ada.call("echo", sent), (await other.expect("echo")).data]
    assert answers == [{"rate": None, "most": [None], "size": 1.5}] * 2


@both_transports
async def test_messages_that_wait_are_posted_together_only_as_far_as_they_fit(transport: Transport) -> None:
    settings = dataclasses.replace(SETTINGS, limits=Limits(message_bytes=10_000))
    sizes = [4_000, 4_000, 4_000, 9_900, 9_900, 1, 9_900, 1]
    async with RealtimeTestClient(make_app(settings=settings)) as client:
        async with (
            client.connect(token=client.token("ada"), transport=transport) as ada,
            client.connect(token=client.token("bob")) as bob,
        ):
            for size in sizes:
                await ada.send("say", {"text": "x" * size})
            assert [len((await bob.expect("said")).data["text"]) for _ in sizes] == sizes
            await ada.send("say", {"text": "x" * 10_001})
            assert (await ada.expect_closed()).code != 1000


async def test_the_middleware_is_required_and_a_lifespan_is_not() -> None:
    with pytest.raises(ConfigurationError, match="no RealtimeMiddleware"):
        async with RealtimeTestClient(FastAPI()):
            pytest.fail("started")
    async with RealtimeTestClient(make_app()) as client:
        with pytest.raises(ConfigurationError, match="no gateway '/nowhere'"):
            client.connections("ada", gateway="/nowhere")
    with pytest.raises(RuntimeError, match="does not run"):
        RealtimeTestClient(make_app()).token("ada")

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"

    app: ASGIApp = RealtimeMiddleware(bare, gateways=[Lobby()], settings=SETTINGS)
    async with RealtimeTestClient(app) as client, client.connect(token=client.token("ada")) as ada:
        await ada.expect("welcome")
