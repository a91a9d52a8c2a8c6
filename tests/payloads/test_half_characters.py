"""Lone surrogates, which JavaScript makes by cutting a string inside an emoji, are handled the same everywhere.

In payloads they become U+FFFD. In ids they are refused, because two ids must not become equal.
"""

from __future__ import annotations

import asyncio
import dataclasses
import enum
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Literal, TypeAlias

import jwt
import msgspec
import pytest
import socketio
import websockets
from pydantic import BaseModel
from starlette.applications import Starlette

from asgi_realtime import (
    ChatGateway,
    ChatMessage,
    Connection,
    EventsBroadcaster,
    EventsGateway,
    FlatJSONDialect,
    Forbidden,
    Identity,
    JobsBroadcaster,
    JobsGateway,
    MessageCreate,
    MewBroadcaster,
    MewGateway,
    RealtimeMiddleware,
    Refusal,
    SavedMessage,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    UserRooms,
    WebSocketGateway,
    on,
)
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient, Socket
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")
HALF = "see you \ud83d"
WHOLE = "see you \ufffd"


def token(user_id: str = "ann") -> str:
    return create_token(user_id, SETTINGS)


class Words(str):
    """A `str` subclass, such as the safe text of a template engine."""


class Mood(enum.Enum):
    BROKEN = HALF


@dataclasses.dataclass
class Data:
    text: str


class Struct(msgspec.Struct):
    text: str


class Model(BaseModel):
    text: str


@dataclasses.dataclass
class Holder:
    value: Any


PAYLOADS: dict[str, tuple[Any, Any]] = {
    "text": (HALF, WHOLE),
    "lower half": ("\udca9!", "\ufffd!"),
    "two halves that belong together": ("\ud83d\ude00", "😀"),
    "key": ({HALF: 1, "a": 2}, {WHOLE: 1, "a": 2}),
    "nested": ([{"a": [HALF, {"b": HALF}]}, 1.5, None], [{"a": [WHOLE, {"b": WHOLE}]}, 1.5, None]),
    "tuple": ((HALF, 1), [WHOLE, 1]),
    "subclass": (Words(HALF), WHOLE),
    "enumeration": (Mood.BROKEN, WHOLE),
    "dataclass": (Data(HALF), {"text": WHOLE}),
    "struct": (Struct(HALF), {"text": WHOLE}),
    "model": (Model.model_construct(text=HALF), {"text": WHOLE}),
    "model in a dataclass": (Holder(Model.model_construct(text=HALF)), {"value": {"text": WHOLE}}),
    "dataclass in a dataclass": (Holder([Data(HALF)]), {"value": [{"text": WHOLE}]}),
}


class Host(Gateway):
    """Echoes what it received, and sends text with lone surrogates."""

    async def on_connect(self, connection: Connection) -> None:
        if connection.identity.user_id == "refused":
            raise Forbidden(HALF)
        await connection.join("room")

    @on("echo")
    async def echo(self, value: Any, connection: Connection) -> None:
        await connection.send("echo", value)

    @on("typed")
    async def typed(self, value: Data, connection: Connection) -> None:
        await connection.send("echo", value.text)

    @on("refuse")
    async def refuse(self, connection: Connection) -> None:
        raise Refusal(HALF)

    @on("leave")
    async def leave(self, connection: Connection) -> None:
        await connection.close(4000, HALF)

    @on("enter")
    async def enter(self, room: str, connection: Connection) -> None:
        await connection.join(room)


class Space(Host, SocketIOGateway):
    @on("acknowledge")
    async def acknowledge(self, value: Any) -> Any:
        assert value == WHOLE
        return {HALF: [HALF]}

    @on("ask")
    async def ask(self, connection: Connection) -> Any:
        return [await connection.call(HALF, HALF)]


class Path(Host, WebSocketGateway):
    pass


class Flat(WebSocketGateway):
    wire = FlatJSONDialect()

    @on("echo")
    async def echo(self, fields: dict[str, Any], connection: Connection) -> None:
        self.push_frame(connection, self.wire.flat(HALF, fields | {HALF: Words(HALF)}))


class ChatHost:
    def __init__(self) -> None:
        self.saved: list[str] = []

    async def groups_of(self, identity: Identity) -> list[str]:
        return []

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        self.saved.append(message.content)
        return SavedMessage(message)

    async def mark_read(self, identity: Identity, chat_id: str) -> None:
        pass


class MewHost:
    async def rooms_of(self, identity: Identity) -> UserRooms:
        return UserRooms(servers={"server": ["channel"]})

    async def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> None:
        await broadcaster.message_create(message.channel_id, message, recipients=None)


def application() -> RealtimeMiddleware:
    gateways = [
        Space("/"),
        Path("/path"),
        Flat("/flat"),
        EventsGateway(),
        ChatGateway(service=ChatHost()),
        JobsGateway(),
        MewGateway("/mew", service=MewHost()),
    ]
    return RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS)


# Outbound, by every method


Send: TypeAlias = Callable[[RealtimeTestClient, Socket, Any], Awaitable[Any]]


def in_thread(call: Callable[[RealtimeTestClient, Socket, Any], Any]) -> Send:
    async def send(client: RealtimeTestClient, socket: Socket, data: Any) -> Any:
        return await asyncio.to_thread(call, client, socket, data)

    return send


SENDERS: dict[str, Send] = {
    "room": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_room("room", HALF, d),
    "user": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_user("ann", HALF, d),
    "users": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_users(["ann"], HALF, d),
    "all": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_all(HALF, d),
    "volatile": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_all(HALF, d, volatile=True),
    "in a thread": in_thread(lambda c, s, d: c.broadcaster.sync.of(s.gateway).broadcast_to_room("room", HALF, d)),
    "events": lambda c, s, d: EventsBroadcaster(c.broadcaster.of(s.gateway)).broadcast_to_room("room", HALF, d),
    "connection": lambda c, s, d: s.connection.send(HALF, d),
    "take over": lambda c, s, d: c.broadcaster.take_over(s.connection, HALF, d),
}


@pytest.mark.parametrize("payload", PAYLOADS)
@pytest.mark.parametrize("gateway", ["/", "/path"])
async def test_sent_payloads_are_repaired(gateway: str, payload: str) -> None:
    data, expected = PAYLOADS[payload]
    async with RealtimeTestClient(application()) as client:
        async with client.connect(gateway, token=client.token("ann")) as socket:
            await socket.connection.send("x", data)
            assert (await socket.expect("x")).data == expected


@pytest.mark.parametrize("sender", SENDERS)
@pytest.mark.parametrize("gateway", ["/", "/path"])
async def test_every_way_to_send_repairs_half_characters(gateway: str, sender: str) -> None:
    async with RealtimeTestClient(application()) as client:
        ann = client.token("ann")
        async with client.connect(gateway, token=ann) as socket, client.connect(gateway, token=ann) as other:
            if sender == "take over":
                await client.broadcaster.take_over(socket.connection, "first")
                socket, other = other, socket
                await SENDERS[sender](client, socket, {"text": HALF})
                assert (await other.expect(WHOLE)).data == {"text": WHOLE}
                return
            await SENDERS[sender](client, socket, {"text": HALF})
            assert (await socket.expect(WHOLE)).data == {"text": WHOLE}


async def test_several_arguments_and_attachments_are_repaired() -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect("/", token=client.token("ann")) as socket:
            await socket.connection.send("x", HALF, {"b": b"\xff", HALF: HALF})
            assert (await socket.expect("x")).args == (WHOLE, {"b": b"\xff", WHOLE: WHOLE})


async def test_a_flat_frame_is_repaired() -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect("/flat", token=client.token("ann")) as socket:
            await socket.send("echo", **{HALF: "key", "text": HALF})
            assert (await socket.expect(WHOLE)).data == {"text": WHOLE, WHOLE: WHOLE}


async def test_a_socketio_server_repairs_half_characters() -> None:
    server = SocketIOServer()
    got: list[Any] = []

    @server.on("*")
    async def catch_all(event: str, sid: str, *data: Any) -> Any:
        got.append([event, *data])
        await server.emit(HALF, {"text": HALF}, to=sid)
        await server.emit(HALF, (HALF, HALF), skip_sid="unknown")
        return HALF, {HALF: HALF}

    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[server], settings=SETTINGS)) as client:
        async with client.connect("/") as socket:
            assert await socket.call(HALF, {HALF: HALF}) == [WHOLE, {WHOLE: WHOLE}]
            assert (await socket.expect(WHOLE)).args == ({"text": WHOLE},)
            assert (await socket.expect(WHOLE)).args == (WHOLE, WHOLE)
    assert got == [[WHOLE, {WHOLE: WHOLE}]]


# Ids


@pytest.mark.parametrize(
    ("argument", "call"),
    [
        ("room", lambda b: b.broadcast_to_room(HALF, "x")),
        ("user_id", lambda b: b.broadcast_to_user(HALF, "x")),
        ("user_ids", lambda b: b.broadcast_to_users(["ann", HALF], "x")),
        ("except_", lambda b: b.broadcast_to_all("x", except_=HALF)),
        ("room", lambda b: b.add_user_to_room("ann", HALF)),
        ("user_id", lambda b: b.add_user_to_room(HALF, "room")),
        ("parent", lambda b: b.add_user_to_room("ann", "room", parent=HALF)),
        ("room", lambda b: b.remove_user_from_room("ann", HALF)),
        ("room", lambda b: b.close_room(HALF)),
        ("user_id", lambda b: b.refresh_rooms(HALF)),
        ("user_id", lambda b: b.disconnect_user(HALF)),
        ("room", lambda b: b.disconnect_members(HALF)),
        ("connection_id", lambda b: b.disconnect_connection(HALF)),
        ("user_id", lambda b: b.revoke_user(HALF)),
        ("jti", lambda b: b.revoke_token(HALF)),
        ("user_id", lambda b: b.is_online(HALF)),
        ("job_id", lambda b: JobsBroadcaster(b.of("/ws")).status(HALF, "running")),
        ("channel_id", lambda b: MewBroadcaster(b.of("/mew")).message_create(HALF, {}, recipients=None)),
    ],
)
async def test_ids_of_the_host_with_half_characters_are_refused(
    argument: str, call: Callable[[Any], Awaitable[Any]]
) -> None:
    async with RealtimeTestClient(application()) as client:
        with pytest.raises(TypeError, match=f"{argument}.* half a surrogate pair"):
            await call(client.broadcaster)


async def test_identities_with_half_characters_are_refused() -> None:
    with pytest.raises(TypeError, match="user_id"):
        Identity(user_id=HALF)
    forged = jwt.encode({"sub": HALF}, SETTINGS.jwt_secret or "", algorithm="HS256")
    async with RealtimeTestClient(application()) as client:
        for gateway in ("/", "/path", "/chat", "/ws"):
            with pytest.raises(ConnectionRefused):
                async with client.connect(gateway, token=forged):
                    pass


@pytest.mark.parametrize("gateway", ["/", "/path"])
async def test_room_names_of_clients_with_half_characters_are_refused(gateway: str) -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect(gateway, token=client.token("ann")) as socket:
            await socket.send("enter", HALF)
            assert (await socket.expect("error")).data["code"] == "INVALID_MESSAGE"
            assert socket.rooms == {"room"}


@pytest.mark.parametrize("make", [SocketIOGateway, WebSocketGateway])
def test_gateway_names_with_half_characters_are_refused(make: Callable[[str], Any]) -> None:
    with pytest.raises(Exception, match="looks like '/chat'"):
        make("/\ud83d")


# Real servers, inbound and outbound


@asynccontextmanager
async def json_client(url: str, path: str, user_id: str = "ann") -> AsyncIterator[websockets.ClientConnection]:
    async with websockets.connect(f"{url}{path}?token={token(user_id)}&recovery=false", close_timeout=1) as websocket:
        async with asyncio.timeout(20):
            yield websocket


async def send(websocket: websockets.ClientConnection, kind: str, data: Any) -> None:
    await websocket.send(json.dumps({"type": kind, "data": data}))


async def receive(websocket: websockets.ClientConnection) -> Any:
    return json.loads(await websocket.recv())


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_json_websocket_repairs_half_characters(implementation: Implementation, serve: Serve) -> None:
    server = await serve(application(), implementation)
    async with json_client(server.websocket_url, "/path") as websocket:
        assert (await receive(websocket))["type"] == "auth_success"
        for value, expected in ((HALF, WHOLE), ({HALF: [HALF]}, {WHOLE: [WHOLE]}), (HALF * 9_000, WHOLE * 9_000)):
            await send(websocket, "echo", value)
            assert await receive(websocket) == {"type": "echo", "data": expected}
        await send(websocket, "typed", {"text": HALF})
        assert await receive(websocket) == {"type": "echo", "data": WHOLE}
        await send(websocket, HALF, 1)
        assert (await receive(websocket))["data"]["code"] == "INVALID_MESSAGE"
        await send(websocket, "refuse", None)
        assert await receive(websocket) == {"type": "error", "data": {"code": "REFUSED", "message": WHOLE}}
        await send(websocket, "leave", None)
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await receive(websocket)
        assert closed.value.rcvd is not None and tuple(closed.value.rcvd.__dict__.values()) == (4000, WHOLE)
    async with json_client(server.websocket_url, "/path", "refused") as websocket:
        assert await receive(websocket) == {"type": "auth_error", "data": {"message": WHOLE}}
        with pytest.raises(websockets.ConnectionClosed) as closed:
            await receive(websocket)
        assert closed.value.rcvd is not None and closed.value.rcvd.reason == WHOLE


@pytest.mark.parametrize("transport", ["polling", "websocket"])
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_socket_io_repairs_half_characters(
    implementation: Implementation, transport: Literal["polling", "websocket"], serve: Serve
) -> None:
    server = await serve(application(), implementation)
    client = socketio.AsyncClient(reconnection=False)
    events: asyncio.Queue[Any] = asyncio.Queue()

    async def receive_event(event: str, *data: Any) -> Any:
        await events.put((event, *data))
        return HALF

    client.on("*", receive_event)
    left = asyncio.Event()
    client.on("disconnect", lambda reason: left.set())
    async with asyncio.timeout(20):
        await client.connect(server.url, auth={"token": token(), "name": HALF}, transports=[transport])
        for value, expected in ((HALF, WHOLE), ({HALF: [HALF], "b": b"\xff"}, {WHOLE: [WHOLE], "b": b"\xff"})):
            await client.emit("echo", value)
            assert await events.get() == ("echo", expected)
        await client.emit(HALF, 1)
        assert (await events.get())[1]["code"] == "INVALID_MESSAGE"
        assert await client.call("acknowledge", HALF) == {WHOLE: [WHOLE]}
        assert await client.call("ask") == [WHOLE]
        assert await events.get() == (WHOLE, WHOLE)
        assert await client.call("refuse") == {"success": False, "code": "REFUSED", "message": WHOLE}
        await client.emit("leave")
        await left.wait()
        for task in filter(None, (client.eio.read_loop_task, client.eio.write_loop_task)):
            task.cancel()  # they would wait for half a minute after a close packet

        refusals: asyncio.Queue[Any] = asyncio.Queue()
        client = socketio.AsyncClient(reconnection=False)
        client.on("connect_error", refusals.put)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await client.connect(server.url, auth={"token": token("refused")}, transports=[transport])
        assert (await refusals.get())["message"] == WHOLE


# The systems


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_chat_message_is_delivered_and_acknowledged(implementation: Implementation, serve: Serve) -> None:
    server = await serve(application(), implementation)
    message = {"id": "m1", "fromId": "ann", "toId": "bob", "chatType": "single", "content": HALF}
    async with (
        json_client(server.websocket_url, "/chat") as ann,
        json_client(server.websocket_url, "/chat", "bob") as bob,
    ):
        for websocket in (ann, bob):
            assert (await receive(websocket))["type"] == "auth_success"
        await send(ann, "message", message)
        assert await receive(ann) == {"type": "ack", "data": {"id": "m1", "status": "success"}}
        assert (await receive(bob))["data"]["content"] == WHOLE
        await send(ann, "message", message | {"id": HALF})
        assert (await receive(ann))["data"] == {"message": "消息缺少必要字段"}
        await ann.send('{"type": "ping"}')
        assert await receive(ann) == {"type": "pong"}


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_jobs_refuses_or_repairs_half_characters(implementation: Implementation, serve: Serve) -> None:
    middleware = application()
    server = await serve(middleware, implementation)
    async with json_client(server.websocket_url, "/ws") as websocket:
        assert (await receive(websocket))["type"] == "connection_established"
        await websocket.send(json.dumps({"type": "join_job", "jobId": HALF}))
        assert (await receive(websocket))["code"] == "INVALID_MESSAGE"
        await websocket.send(json.dumps({"type": "join_job", "jobId": "7", "note": HALF}))
        await websocket.send('{"type": "ping"}')
        assert (await receive(websocket))["type"] == "pong"
        await JobsBroadcaster(middleware.broadcaster.of("/ws")).error("7", HALF, stage=HALF)
        data = (await receive(websocket))["data"]
        assert (data["error"], data["stage"]) == (WHOLE, WHOLE)


async def test_events_and_mew_refuse_or_repair_half_characters() -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect("/events", token=client.token("ann")) as socket:
            assert (await socket.call("join", {"room": HALF}))["success"] is False
            assert (await socket.call("join", {"room": "r"}))["success"] is True
            assert await socket.call("message", {"content": HALF, "room": "r"}) == {"success": True}
            assert (await socket.expect("message")).data["content"] == WHOLE
        async with client.connect("/mew", token=client.token("ann")) as socket:
            await socket.send("message/create", {"channelId": "channel", "content": HALF, "payload": {HALF: HALF}})
            created = (await socket.expect("MESSAGE_CREATE")).data
            assert (created["content"], created["payload"]) == (WHOLE, {WHOLE: WHOLE})
