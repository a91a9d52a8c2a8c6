"""JSON WebSockets on a real server: authentication, frames, limits, closes."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import websockets
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection

from asgi_realtime import (
    Connection,
    Handshake,
    Limits,
    RealtimeMiddleware,
    Settings,
    WebSocketGateway,
    on,
    token_from_auth,
    token_from_cookie,
    token_from_query,
)
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.auth.token_sources import TokenSource
from asgi_realtime.errors import ProtocolError
from asgi_realtime.protocols.json_dialect import FlatJSONDialect, JSONDialect
from asgi_realtime.realtime import Realtime
from asgi_realtime.values.publications import Position
from tests.support.accepted import accepted_user
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import forgotten, until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", cors_origins=("https://ours.example",))


def token(user_id: str = "ann", **options: Any) -> str:
    return create_token(user_id, SETTINGS, **options)


class Chat(WebSocketGateway):
    """A gateway that records the calls of its hooks."""

    def __init__(self, **options: Any) -> None:
        super().__init__("/chat", **options)
        self.log: list[Any] = []
        self.seen: list[weakref.ref[Connection]] = []
        self.entered = asyncio.Event()
        self.go = asyncio.Event()
        self.go.set()

    async def on_connect(self, connection: Connection) -> None:
        self.seen.append(weakref.ref(connection))
        self.entered.set()
        await connection.join("lobby")
        await connection.send("welcome", {"n": 1})
        await self.go.wait()

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.log.append(reason)

    @on("say")
    async def say(self, text: str, connection: Connection) -> None:
        self.log.append(text)
        await asyncio.sleep(0)
        await connection.send("said", text)

    @on("nothing")
    async def nothing(self) -> Any:
        return "an unused result"

    @on("connected")
    async def connected(self) -> None:
        self.log.append("connected")

    @on("call")
    async def call(self, connection: Connection) -> None:
        await connection.call("question")


@asynccontextmanager
async def chat(
    serve: Serve,
    gateway: Chat | None = None,
    implementation: Implementation | None = None,
    settings: Settings = SETTINGS,
) -> AsyncIterator[tuple[Chat, Realtime, str]]:
    gateway = gateway or Chat()
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=settings)
    server = await serve(middleware, implementation)
    yield gateway, middleware.realtime, server.websocket_url + "/chat"
    await server.stop()


def connect(url: str, **options: Any) -> websockets.connect:
    return websockets.connect(url, compression=None, ping_interval=None, close_timeout=1, **options)


async def receive(websocket: ClientConnection) -> tuple[str, Any]:
    async with asyncio.timeout(10):
        frame = json.loads(await websocket.recv())
    return frame["type"], frame.get("data")


async def send(websocket: ClientConnection, kind: str, data: Any = None) -> None:
    await websocket.send(json.dumps({"type": kind} | ({} if data is None else {"data": data})))


async def close_of(websocket: ClientConnection) -> tuple[list[tuple[str, Any]], int | None]:
    frames = []
    try:
        while True:
            frames.append(await receive(websocket))
    except websockets.ConnectionClosed:
        return frames, websocket.close_code


async def enter(websocket: ClientConnection, user_id: str = "ann") -> None:
    await send(websocket, "auth", {"token": token(user_id)})
    assert accepted_user(await receive(websocket)) == user_id
    assert await receive(websocket) == ("welcome", {"n": 1})


async def nothing_left(gateway: Chat, realtime: Realtime) -> None:
    await until(lambda: not len(realtime.tasks) and not realtime.websockets["/chat"].peers)
    rooms = realtime.hub.rooms(gateway.name)
    assert not len(rooms)
    assert not rooms.names
    await forgotten(gateway.seen)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("way", ["frame", "query", "bearer"])
async def test_a_token_is_accepted_in_the_header_the_query_or_an_auth_frame(
    way: str, implementation: Implementation, serve: Serve
) -> None:
    async with chat(serve, implementation=implementation) as (gateway, realtime, url):
        good = token()
        options: dict[str, Any] = {"additional_headers": {"Authorization": f"Bearer {good}"}} if way == "bearer" else {}
        async with connect(url + (f"?token={good}" if way == "query" else ""), **options) as websocket:
            if way == "frame":
                await send(websocket, "auth", {"token": good})
            assert accepted_user(await receive(websocket)) == "ann"
            assert await receive(websocket) == ("welcome", {"n": 1})
            await send(websocket, "ping")
            assert await receive(websocket) == ("pong", None)
            await send(websocket, "say", "hello")
            assert await receive(websocket) == ("said", "hello")
        await nothing_left(gateway, realtime)
        assert gateway.log == ["hello", "transport close"]


def fails(handshake: Handshake) -> str | None:
    """A token source with a fault."""
    raise LookupError("no such header")


ANN, BOB = f"session={token('ann')}", {"token": token("bob")}


@pytest.mark.parametrize(
    ("sources", "query", "headers", "frame", "outcome"),
    [
        ((token_from_auth("token"), token_from_query("k")), f"?k={token()}", {}, None, "ann"),
        ((token_from_auth("token"), token_from_query("k")), f"?token={token()}", {}, BOB, "bob"),
        ((token_from_auth("token"),), "", {"Authorization": "Basic YTpi"}, BOB, "bob"),
        ((token_from_cookie("session"),), "", {"Cookie": ANN}, None, "ann"),
        ((token_from_cookie("session"),), "", {}, None, 1008),
        ((token_from_auth("token"), token_from_cookie("session")), "", {"Cookie": ANN}, BOB, "bob"),
        ((token_from_auth("token"), token_from_cookie("session")), "", {"Cookie": ANN}, {}, "ann"),
        ((token_from_auth("token"), fails), "", {}, None, 1013),
    ],
)
async def test_a_token_is_accepted_where_the_gateway_says_and_the_frame_is_awaited_only_if_it_is_not_there(
    sources: Sequence[TokenSource],
    query: str,
    headers: dict[str, str],
    frame: dict[str, str] | None,
    outcome: str | int,
    serve: Serve,
) -> None:
    class Desk(Chat):
        token_sources = sources

    async with chat(serve, Desk(auth_timeout=60.0)) as (_, _, url):
        async with connect(url + query, additional_headers=headers) as websocket:
            if frame is not None:
                await send(websocket, "auth", frame)
            if isinstance(outcome, str):
                assert accepted_user(await receive(websocket)) == outcome
            else:
                assert (await close_of(websocket))[1] == outcome


@pytest.mark.parametrize("way", ["frame", "query", "bearer"])
@pytest.mark.parametrize("bad", ["forged", "expired", "empty"])
async def test_bad_credentials_are_refused(way: str, bad: str, serve: Serve) -> None:
    async with chat(serve) as (gateway, realtime, url):
        value = {"forged": token() + "x", "expired": token(expires_in=-10), "empty": ""}[bad]
        options: dict[str, Any] = (
            {"additional_headers": {"Authorization": f"Bearer {value}"}} if way == "bearer" else {}
        )
        async with connect(url + (f"?token={value}" if way == "query" else ""), **options) as websocket:
            if way == "frame" or (way, bad) == ("query", "empty"):
                await send(websocket, "auth", {"token": value})
            frames, code = await close_of(websocket)
            assert (frames, code) == ([("auth_error", {"message": "invalid credentials"})], 1008)
        await nothing_left(gateway, realtime)
        assert not gateway.seen


@pytest.mark.parametrize("data", [None, "text", [], {"token": 1}, {"token": None}, {}])
async def test_an_invalid_auth_frame_is_refused(data: Any, serve: Serve) -> None:
    async with chat(serve) as (_, _, url), connect(url) as websocket:
        await send(websocket, "auth", data)
        assert await close_of(websocket) == ([("auth_error", {"message": "invalid credentials"})], 1008)


async def test_foreign_origins_are_refused(serve: Serve) -> None:
    async with chat(serve) as (_, _, url):
        async with connect(url, origin="https://ours.example") as websocket:
            await enter(websocket)
        with pytest.raises(websockets.InvalidStatus) as refused:
            await connect(url, origin="https://foreign.example")
        assert refused.value.response.status_code == 403


async def test_before_authentication_only_pong_is_sent(serve: Serve) -> None:
    async with chat(serve) as (gateway, realtime, url), connect(url) as websocket:
        await send(websocket, "ping")
        assert await receive(websocket) == ("pong", None)
        await send(websocket, "say", "hello")
        assert await receive(websocket) == ("error", {"code": "UNAUTHORIZED", "message": "authenticate first"})
        assert (await realtime.broadcaster.broadcast_to_all("LEAK")).delivered_locally == 0
        gateway.go.clear()
        await send(websocket, "auth", {"token": token()})
        await send(websocket, "say", "waits for its turn")
        await gateway.entered.wait()
        await realtime.broadcaster.broadcast_to_room("lobby", "news", b"".hex())
        realtime.hub.flush()  # without an early write, as the end of the tick does
        gateway.go.set()
        assert accepted_user(await receive(websocket)) == "ann"
        assert [await receive(websocket) for _ in range(3)] == [
            ("welcome", {"n": 1}),
            ("news", ""),
            ("said", "waits for its turn"),
        ]


async def test_a_client_that_keeps_sending_before_authentication_is_closed(serve: Serve) -> None:
    async with chat(serve, Chat(limits=Limits(attempt_burst=3))) as (_, _, url), connect(url) as websocket:
        for _ in range(5):
            await send(websocket, "ping")
        frames, code = await close_of(websocket)
        assert [kind for kind, _ in frames] == ["pong", "pong", "pong", "error"]
        assert (frames[-1][1]["code"], code) == ("UNAUTHORIZED", 1008)


async def test_a_connection_over_the_limit_of_a_user_is_refused(serve: Serve) -> None:
    async with chat(serve, Chat(limits=Limits(connections_per_user=1))) as (_, _, url), connect(url) as websocket:
        await enter(websocket)
        async with connect(url) as one_more:
            await send(one_more, "auth", {"token": token()})
            assert await close_of(one_more) == ([("auth_error", {"message": "too many connections"})], 1013)


async def test_a_client_that_does_not_authenticate_in_time_is_closed(serve: Serve) -> None:
    async with chat(serve, Chat(limits=Limits(connect_timeout=0.1))) as (gateway, realtime, url):
        async with connect(url) as websocket:
            assert await close_of(websocket) == ([("auth_error", {"message": "authentication timed out"})], 1008)
        await nothing_left(gateway, realtime)


async def test_a_client_that_vanishes_while_connecting_leaves_nothing_behind(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    # pytest keeps every log record, with its traceback and all objects on that stack.
    monkeypatch.setattr(logging.getLogger("asgi_realtime"), "filters", [lambda record: False])
    gateway = Chat(limits=Limits(handler_timeout=0.3))
    gateway.go.clear()
    async with chat(serve, gateway) as (_, realtime, url):
        async with connect(url + f"?token={token()}") as websocket:
            await gateway.entered.wait()
            websocket.transport.abort()
        await nothing_left(gateway, realtime)


@pytest.mark.parametrize("authenticated", [True, False])
@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"binary", 1008),
        ("not json", 1008),
        ("", 1008),
        ("[]", 1008),
        ("null", 1008),
        ('{"data": 1}', 1008),
        ('{"type": 1}', 1008),
        ('{"type": null}', 1008),
        ('{"type": "say", "data": "' + "x" * 2000 + '"}', 1009),
        ('{"type": "say", "data": "' + "é" * 900 + '"}', 1009),
        ('{"type": "' + "x" * 300 + '"}', 1008),
        ('{"type": "say", "data": ' + "[" * 400 + "]" * 400 + "}", 1008),
        ('{"type": "say", "data": ' + '{"a":' * 100 + "1" + "}" * 100 + "}", 1008),
        ('{"type": "say", "data": NaN}', 1008),
    ],
)
async def test_hostile_frames_close(frame: str | bytes, code: int, authenticated: bool, serve: Serve) -> None:
    async with chat(serve, Chat(limits=Limits(message_bytes=1500))) as (gateway, realtime, url):
        async with connect(url) as websocket:
            if authenticated:
                await enter(websocket)
            await websocket.send(frame)
            await send(websocket, "say", "after the end")
            frames, seen = await close_of(websocket)
            answers = [(kind, data["code"]) for kind, data in frames]
            assert answers == [("error", "TOO_LARGE" if code == 1009 else "INVALID_MESSAGE")]
            assert seen == code
        await nothing_left(gateway, realtime)
        assert "after the end" not in gateway.log


async def test_wrong_events_are_answered(serve: Serve) -> None:
    async with chat(serve) as (gateway, _, url), connect(url) as websocket:
        await enter(websocket)
        wrong: list[tuple[str, Any]] = [("say", 1), ("say", None), ("unknown", {}), ("", 1)]
        for kind, data in [*wrong, ("connect", {}), ("disconnect", None)]:
            await send(websocket, kind, data)
            event, answer = await receive(websocket)
            assert (event, answer["code"]) == ("error", "INVALID_MESSAGE")
        await send(websocket, "call")
        assert (await receive(websocket))[1]["code"] == "INTERNAL"
        await send(websocket, "nothing")
        await send(websocket, "ping")
        assert await receive(websocket) == ("pong", None)
        assert gateway.log == []


async def test_events_keep_their_order_while_reading_is_paused(serve: Serve) -> None:
    async with chat(serve, Chat(limits=Limits(events_in_flight=2))) as (gateway, _, url), connect(url) as websocket:
        await enter(websocket)
        for number in range(200):
            await send(websocket, "say", str(number))
        assert [await receive(websocket) for _ in range(200)] == [("said", str(number)) for number in range(200)]
        assert gateway.log == [str(number) for number in range(200)]


async def test_a_second_auth_frame_replaces_the_token(serve: Serve) -> None:
    async with chat(serve) as (_, realtime, url), connect(url) as expiring, connect(url) as kept:
        for websocket in (expiring, kept):
            await send(websocket, "auth", {"token": token(expires_in=3.0)})
            assert (await receive(websocket))[0] == "auth_success"
            assert (await receive(websocket))[0] == "welcome"
        for wrong in ({"token": token("bob")}, {"token": "forged"}):
            await send(kept, "auth", wrong)
            assert (await receive(kept))[1]["code"] == "UNAUTHORIZED"
        await send(kept, "auth", {"token": token(expires_in=60.0)})
        assert await receive(kept) == ("auth_success", {"userId": "ann"})
        assert await close_of(expiring) == ([], 1008)
        await send(kept, "say", "still here")
        assert await receive(kept) == ("said", "still here")


async def test_closes_by_the_server_have_their_code_and_reason(serve: Serve) -> None:
    async with chat(serve) as (gateway, realtime, url):
        async with connect(url) as out, connect(url) as odd, connect(url) as long:
            for websocket, user_id in ((out, "ann"), (odd, "bob"), (long, "eve")):
                await enter(websocket, user_id)
            await realtime.broadcaster.broadcast_to_user("ann", "last", 1)
            await realtime.broadcaster.disconnect_user("ann", code=4001, reason="bye")
            assert await close_of(out) == ([("last", 1)], 4001)
            assert out.close_reason == "bye"
            await realtime.broadcaster.disconnect_user("eve", reason="é" * 100)
            assert await close_of(long) == ([], 1008)
            assert long.close_reason == "é" * 61
            await realtime.broadcaster.revoke_user("bob")
            assert await close_of(odd) == ([], 1008)
        await nothing_left(gateway, realtime)
        assert gateway.log == ["forced close"] * 3


async def test_clients_get_the_close_of_a_restart(serve: Serve) -> None:
    gateway = Chat()
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    server = await serve(middleware)
    async with connect(server.websocket_url + "/chat") as entered, connect(server.websocket_url + "/chat") as waiting:
        await enter(entered)
        await middleware.realtime.stop()
        assert (await close_of(entered))[1] == 1012
        assert (await close_of(waiting))[1] == 1012


async def test_a_stalled_reader_is_closed_and_others_receive_everything(serve: Serve) -> None:
    async with chat(serve, Chat(limits=Limits(outbox_bytes=600_000))) as (gateway, realtime, url):
        async with connect(url) as quick, connect(url, max_queue=1) as stalled:
            await enter(quick)
            await enter(stalled, "bob")
            stalled.transport.pause_reading()
            payload, sent = "x" * 500_000, 0
            while len(realtime.hub.rooms(gateway.name)) == 2:
                await realtime.broadcaster.broadcast_to_all("data", payload)
                sent += len(payload)
                assert await receive(quick) == ("data", payload)
                assert sent < 40_000_000
            await until(lambda: len(realtime.websockets["/chat"].peers) == 1)
            stalled.transport.abort()
        await nothing_left(gateway, realtime)


@pytest.mark.parametrize("limits", [Limits(sessions=1), Limits(sessions_per_address=1)])
async def test_sessions_are_limited(limits: Limits, serve: Serve) -> None:
    async with chat(serve, Chat(limits=limits)) as (_, realtime, url):
        for _ in range(2):
            async with connect(url), connect(url) as one_more:
                assert await close_of(one_more) == ([], 1013)
            await until(lambda: not realtime.websockets["/chat"].peers)
        assert not realtime.websockets["/chat"].addresses


def test_events_are_encoded_as_json_frames() -> None:
    dialect = JSONDialect()
    assert dialect.event("a").messages == ('{"type":"a"}',)
    assert dialect.event('q"é', b'{"n":1}').messages == ('{"type":"q\\"é","data":{"n":1}}',)
    frame = dialect.with_position(dialect.event("a", b"1"), Position("5-1"))
    assert frame.messages == ('{"type":"a","data":1,"offset":"5-1"}',)
    assert dialect.flat("a").messages == ('{"type":"a"}',)
    assert dialect.flat("a", {"n": 1}).messages == ('{"type":"a","n":1}',)
    with pytest.raises(TypeError, match="no fields"):
        dialect.flat("a", [1])
    with pytest.raises(TypeError, match="base64"):
        dialect.event("a", b"{}", (b"x",))


LIMITS = Limits()


@pytest.mark.parametrize("dialect", [JSONDialect(), FlatJSONDialect()])
@given(text=st.text() | st.binary().map(lambda data: data.decode("latin-1")))
def test_any_text_is_a_frame_or_a_protocol_error(text: str, dialect: JSONDialect) -> None:
    try:
        dialect.read(text, LIMITS)
    except ProtocolError:
        pass


@given(
    st.text(max_size=60),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
    ),
)
def test_every_frame_is_read_as_it_was_written(kind: str, data: Any) -> None:
    frame = json.dumps({"data": data, "more": 1, "type": kind})
    assert JSONDialect().read(frame, LIMITS) == (kind, data)
    assert FlatJSONDialect().read(frame, LIMITS) == (kind, {"data": data, "more": 1})
