"""Class-based namespaces on a SocketIOServer, and the server beside other gateways."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import socketio as python_socketio
from starlette.applications import Starlette

from asgi_realtime import ConfigurationError, Limits, RealtimeMiddleware, Settings, SocketIOGateway, on, socketio
from asgi_realtime.connection.connection import Connection
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import UserId
from asgi_realtime.values.json import Json
from tests.support.node_client import Node
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client, read_until_closed, receive_json
from tests.support.servers import Serve


class Chat(socketio.AsyncNamespace):
    def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.connected = sid

    async def on_disconnect(self, sid: str) -> None:
        self.disconnected = sid

    async def on_say(self, sid: str, text: str) -> Json:
        await self.enter_room(sid, "room")
        async with self.session(sid) as session:
            session["said"] = text
        await self.emit("said", text, room="room")
        return sorted(self.rooms(sid)) == sorted([sid, "room"])

    def on_session(self, sid: str) -> Any:
        return self.get_session(sid)


class Blocking(socketio.Namespace):
    def on_connect(self, sid: str, environ: dict[str, Any], auth: Json) -> bool:
        return bool(auth != {"open": False})

    def on_say(self, sid: str, text: str) -> Json:
        assert threading.current_thread() is not threading.main_thread()
        self.enter_room(sid, "room")
        with self.session(sid) as session:
            session["said"] = text
        self.emit("said", text, room="room")
        self.send("sent", to=sid)
        answer = self.call("who", sid=sid, timeout=5)
        self.leave_room(sid, "room")
        self.close_room("room")
        return [answer, self.get_session(sid), self.rooms(sid) == [sid]]

    def on_leave(self, sid: str) -> None:
        self.save_session(sid, {})
        self.disconnect(sid)


async def test_the_methods_of_an_async_namespace_are_handlers(serve: Serve, node: Node) -> None:
    sio = SocketIOServer()
    chat = Chat("/chat")
    sio.register_namespace(chat)

    @sio.on("shadowed", namespace="/chat")
    def shadowed(sid: str) -> str:
        return "the function has precedence"

    client = await node.connect((await serve(socketio.ASGIApp(sio))).url, "/chat")
    assert chat.connected == client.id
    assert await client.call("say", "hi") == [True]
    assert (await client.expect("said")).data == "hi"
    assert await client.call("session") == [{"said": "hi"}]
    assert await client.call("shadowed") == ["the function has precedence"]


async def test_the_methods_of_a_blocking_namespace_are_handlers(serve: Serve, node: Node) -> None:
    sio = SocketIOServer()
    sio.register_namespace(Blocking("/chat"))
    url = (await serve(socketio.ASGIApp(sio))).url
    client = await node.connect(url, "/chat")
    await client.answer("who", "me")
    assert await client.call("say", "hi") == [["me", {"said": "hi"}, True]]
    assert (await client.expect("said")).data == "hi"
    assert (await client.expect("message")).data == "sent"
    await client.emit("leave")
    assert await client.disconnection() == "io server disconnect"
    refused = await node.connect(url, "/chat", auth={"open": False}, wait=False)
    with pytest.raises(Exception, match="Connection rejected by server"):
        await refused.connection()


async def test_a_namespace_class_of_python_socketio_can_be_registered(serve: Serve, node: Node) -> None:
    class Echo(python_socketio.AsyncNamespace):  # type: ignore[misc]
        async def trigger_event(self, event: str, *args: Json) -> Json:
            return [event, *args[1:]] if event not in ("connect", "disconnect") else None

    sio = SocketIOServer()
    echo = Echo("/echo")
    sio.register_namespace(echo)
    client = await node.connect((await serve(socketio.ASGIApp(sio))).url, "/echo")
    assert await client.call("anything", 1) == [["anything", 1]]
    await echo.emit("x", 1)
    assert (await client.expect("x")).data == 1


def test_only_instances_can_be_registered() -> None:
    for wrong in (Chat, object(), python_socketio.Namespace("/")):
        with pytest.raises(ValueError):
            SocketIOServer().register_namespace(wrong)  # type: ignore[arg-type]


async def test_pythons_own_client(serve: Serve) -> None:
    sio = SocketIOServer()

    @sio.event
    async def echo(sid: str, *args: Json) -> Json:
        await sio.emit("echoed", args, to=sid)
        return args

    server = await serve(socketio.ASGIApp(sio))
    for transport in ("polling", "websocket"):
        async with python_socketio.AsyncSimpleClient() as client:
            await client.connect(server.url, transports=[transport])
            assert await client.call("echo", ("x", b"y", {"z": [b"1"]})) == ("x", b"y", {"z": [b"1"]})
            assert await client.receive() == ["echoed", "x", b"y", {"z": [b"1"]}]


class Hello(SocketIOGateway):
    @on("hello")
    async def hello(self, connection: Connection) -> str:
        return "hello " + connection.identity.user_id


async def accept_all(handshake: Handshake) -> Identity:
    return Identity(user_id=UserId("ann"))


async def test_a_server_and_a_gateway_share_an_app(serve: Serve, node: Node) -> None:
    sio = SocketIOServer()

    @sio.event
    def hello(sid: str) -> str:
        return "hello from the server"

    app = RealtimeMiddleware(nothing, gateways=[sio, Hello("/hello", authenticator=accept_all)], settings=Settings())
    server = await serve(app)
    client = await node.connect(server.url)
    gateway = await client.share("/hello")
    assert await client.call("hello") == ["hello from the server"]
    assert await gateway.call("hello") == ["hello ann"]
    # One broadcaster for both. The namespace of the server was mounted first.
    await app.broadcaster.broadcast_to_all("news", 1)
    await app.broadcaster.of("/hello").broadcast_to_all("news", 2)
    assert (await client.expect("news")).data == 1
    assert (await gateway.expect("news")).data == 2


async def test_a_namespace_of_another_gateway_stays_separate(
    serve: Serve, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    sio = SocketIOServer(ping_interval=3)

    @sio.on("x", namespace="/chat")
    def x(sid: str) -> None: ...

    root = Hello("/", authenticator=accept_all)
    app = RealtimeMiddleware(nothing, gateways=[sio, root], settings=Settings())
    assert "the Settings of RealtimeMiddleware are in force" in caplog.text
    client = await node.connect((await serve(app)).url)
    sio.on("hello")(x)
    await sio.emit("not sent")
    assert await client.call("hello") == ["hello ann"]
    assert client.events == []
    claimed = SocketIOServer(namespaces=["/"])
    with pytest.raises(ConfigurationError, match="mounted twice"):
        RealtimeMiddleware(nothing, gateways=[claimed, Hello("/")], settings=Settings()).realtime  # noqa: B018


async def nothing(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "lifespan"
    raise RuntimeError("no lifespan here")


class Loop(socketio.AsyncNamespace):
    async def on_one(self, sid: str, value: Json) -> Json:
        return [value]

    async def on_fails(self, sid: str, value: Json) -> Json:
        raise TypeError(f"of the handler: {value}")

    def on_plain(self, sid: str, value: Json) -> Json:
        raise TypeError(f"of the handler: {value}")


class Thread(socketio.Namespace):
    def on_one(self, sid: str, value: Json) -> Json:
        return [value]

    def on_fails(self, sid: str, value: Json) -> Json:
        raise TypeError(f"of the handler: {value}")


@pytest.mark.parametrize("namespace", ["/functions", "/loop", "/thread"])
async def test_the_wrong_number_of_values_logs_one_line_for_each_event(
    serve: Serve, node: Node, caplog: pytest.LogCaptureFixture, namespace: str
) -> None:
    sio = SocketIOServer()
    sio.register_namespace(Loop("/loop"))
    sio.register_namespace(Thread("/thread"))
    loop = Loop("/unused")
    sio.on("one", loop.on_one, "/functions")
    sio.on("fails", loop.on_plain, "/functions")
    client = await node.connect((await serve(socketio.ASGIApp(sio))).url, namespace)
    for wrong in ([], [1, 2], [1, 2, 3]):
        await client.emit("one", *wrong)
        await client.emit("fails", *wrong)
    assert await client.call("one", 1) == [[1]]
    warnings = [record for record in caplog.records if record.levelname in ("WARNING", "ERROR")]
    assert len(warnings) == 2  # one line a minute
    assert all(record.exc_info is None for record in warnings)
    assert all("does not take these values" in record.getMessage() for record in warnings)
    # An error inside a handler stays an error.
    caplog.clear()
    await client.emit("fails", "here")
    assert await client.call("one", 1) == [[1]]
    assert "of the handler: here" in caplog.text and "Traceback" in caplog.text


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_wrong_numbers_of_values_without_an_end_close_the_client(
    transport: TransportName, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    sio = SocketIOServer()
    sio.register_namespace(Loop("/loop"))
    settings = Settings(limits=Limits(attempt_rate=0.001, attempt_burst=10))
    app = RealtimeMiddleware(Starlette(), gateways=[sio], settings=settings)
    async with raw_client(await serve(app), transport) as client:
        await client.send("0/loop,")
        await receive_json(client, "0/loop,")
        await client.send(*['2/loop,["one"]'] * 30)
        assert "1/loop," in await read_until_closed(client)
    lines = [line for line in caplog.messages if "does not take these values" in line]
    assert len(lines) <= 11
