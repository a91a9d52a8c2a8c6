"""Payloads between a real server and stock clients: each way to send, and each annotation of a handler."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import fastapi
import httpx
import pytest
import websockets

from asgi_realtime import (
    Broadcaster,
    Connection,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    create_token,
)
from asgi_realtime.socketio import SocketIOServer
from asgi_realtime.systems.events import EventsBroadcaster
from asgi_realtime.testing import RealtimeTestClient
from tests.payloads.test_plain_values import MODELS, PLAIN, Money, Named, Upload
from tests.payloads.test_validation import KINDS
from tests.support.node_client import ConnectRefused
from tests.support.python_client import PythonClient
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.stock_client import Connect

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
AUTH = {"token": create_token("ann", SETTINGS)}
VALUES = MODELS | PLAIN

Way: TypeAlias = Callable[["App", str, Any], Awaitable[object]]
"""Sends a value to the client, as an event of that name."""


class Feed(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("all")
        self.connection = connection


class Frames(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("all")
        self.connection = connection


class App:
    """Every value by a route of FastAPI, and as the acknowledgement of an event."""

    def __init__(self) -> None:
        self.feed = Feed("/")
        self.frames = Frames("/frames")
        self.server = SocketIOServer(async_mode="asgi", namespaces="*")
        self.fastapi = fastapi.FastAPI()
        for name, (value, annotation) in VALUES.items():
            self._serve(name, value, annotation)
        self.app = RealtimeMiddleware(self.fastapi, gateways=[self.feed, self.frames], settings=SETTINGS)

    def _serve(self, name: str, value: Any, annotation: Any) -> None:
        def route() -> Any:
            return value

        async def handler() -> Any:
            return value

        route.__annotations__ = {"return": annotation}
        self.fastapi.get(f"/{name}")(route)
        self.feed.on(name)(handler)


async def rest(url: str) -> dict[str, Any]:
    """The responses of the routes."""
    async with httpx.AsyncClient(base_url=url) as client:
        return {name: (await client.get(f"/{name}")).json() for name in VALUES}


WAYS: dict[str, Way] = {
    "broadcast_to_room": lambda app, name, value: app.feed.broadcaster.broadcast_to_room("all", name, value),
    "broadcast_to_user": lambda app, name, value: app.feed.broadcaster.broadcast_to_user("ann", name, value),
    "broadcast_to_users": lambda app, name, value: app.feed.broadcaster.broadcast_to_users(["ann"], name, value),
    "broadcast_to_all": lambda app, name, value: app.feed.broadcaster.broadcast_to_all(name, value),
    "broadcaster.sync": lambda app, name, value: asyncio.to_thread(
        app.feed.broadcaster.sync.broadcast_to_room, "all", name, value
    ),
    "a typed broadcaster": lambda app, name, value: EventsBroadcaster(app.feed.broadcaster).broadcast_to_all(
        name, value
    ),
    "connection.send": lambda app, name, value: app.feed.connection.send(name, value),
}


@pytest.mark.parametrize("way", WAYS)
async def test_a_broadcast_payload_equals_the_response_of_a_route(way: str, serve: Serve) -> None:
    app = App()
    server = await serve(app.app)
    expected = await rest(server.url)
    client = PythonClient()
    await client.connect(server.url, auth=AUTH, transports=["websocket"])
    for name, (value, _) in VALUES.items():
        await WAYS[way](app, name, value)
        assert (await client.expect(name)).args == [expected[name]], name
    await client.disconnect()


async def test_every_stock_client_receives_the_json_of_a_route(connect: Connect, serve: Serve) -> None:
    app = App()
    server = await serve(app.app)
    expected = await rest(server.url)
    client = await connect(server.url, auth=AUTH)
    for name, (value, _) in VALUES.items():
        await app.feed.broadcaster.broadcast_to_room("all", name, {"value": [value]})
        assert (await client.expect(name)).args == [{"value": [expected[name]]}], name
        several = list(expected[name]) if type(value) is tuple else [expected[name]]
        assert await client.call(name) == several, name


async def test_a_json_frame_equals_the_response_of_a_route(serve: Serve) -> None:
    app = App()
    server = await serve(app.app)
    expected = await rest(server.url)
    query = f"token={AUTH['token']}&recovery=false"
    async with websockets.connect(f"{server.websocket_url}/frames?{query}") as client:
        await client.recv()  # auth_success
        for name, (value, _) in VALUES.items():
            await app.frames.broadcaster.broadcast_to_room("all", name, value)
            await app.frames.connection.send(name, value)
            for _ in range(2):
                assert json.loads(await client.recv()) == {"type": name, "data": expected[name]}


async def test_the_methods_of_python_socketio_send_the_json_of_a_route(serve: Serve) -> None:
    server = SocketIOServer(async_mode="asgi", cors_allowed_origins="*")
    sids: list[str] = []
    app = App()

    @server.event
    async def connect(sid: str, environ: Any) -> None:
        sids.append(sid)

    for name, (value, _) in VALUES.items():
        server.on(name, _returning(value))
    live = await serve(RealtimeMiddleware(app.fastapi, gateways=[server], settings=SETTINGS))
    expected = await rest(live.url)
    client = PythonClient()
    await client.connect(live.url, transports=["websocket"])
    for name, (value, _) in VALUES.items():
        several = list(expected[name]) if isinstance(value, tuple) else [expected[name]]
        await server.emit(name, value)
        assert (await client.expect(name)).args == several, name
        await server.emit(name, {"a": value}, to=sids[0])
        assert (await client.expect(name)).args == [{"a": expected[name]}], name
        await server.send([value], to=sids[0])
        assert (await client.expect("message")).args == [[expected[name]]], name
        assert await client.call(name) == several, name
    await client.disconnect()


def _returning(value: Any) -> Callable[[str], Awaitable[Any]]:
    async def handler(sid: str) -> Any:
        return value

    return handler


async def test_bytes_in_models_arrive_as_bytes(connect: Connect, serve: Serve) -> None:
    feed = Feed("/")

    @feed.on("upload")
    async def upload(upload: Upload) -> list[Upload]:
        return [upload]

    server = await serve(RealtimeMiddleware(fastapi.FastAPI(), gateways=[feed], settings=SETTINGS))
    client = await connect(server.url, auth=AUTH)
    expected = {"name": "a", "data": b"\xff\x00", "more": [b"1"], "anything": None, "bare": []}
    await feed.broadcaster.broadcast_to_room("all", "upload", {"model": Upload()})
    assert (await client.expect("upload")).args == [{"model": expected}]
    assert await client.call("upload", {"name": "b", "data": b"\x00\xff"}) == [
        [{**expected, "name": "b", "data": b"\x00\xff"}]
    ]


async def test_only_the_sender_gets_the_error_of_an_unencodable_payload(serve: Serve) -> None:
    app = App()
    errors: list[str] = []

    @app.feed.on("opaque")
    async def opaque(connection: Connection) -> object:
        try:
            await connection.send("never", {"a": object()})
        except TypeError as error:
            errors.append(str(error))
        return {"a": object()}

    server = await serve(app.app)
    client = PythonClient()
    await client.connect(server.url, auth=AUTH, transports=["websocket"])
    with pytest.raises(TypeError, match=r"cannot encode object.*at `\$\.a\[0\]`"):
        await app.feed.broadcaster.broadcast_to_room("all", "never", {"a": [object()]})
    answer = await client.call("opaque")
    assert answer == [{"success": False, "code": "INTERNAL", "message": "internal error"}]
    assert "cannot encode object" in errors[0]
    assert client.events == []
    await client.disconnect()


async def test_a_named_tuple_is_one_value_and_a_tuple_is_several(serve: Serve) -> None:
    feed = Feed("/")

    @feed.on("named")
    async def named() -> Named:
        return Named(1, Money())

    @feed.on("tuple")
    async def several() -> tuple[int, Money]:
        return 1, Money()

    server = await serve(RealtimeMiddleware(fastapi.FastAPI(), gateways=[feed], settings=SETTINGS))
    client = PythonClient()
    await client.connect(server.url, auth=AUTH, transports=["websocket"])
    assert await client.call("named") == [[1, {"cents": "1.50"}]]
    assert await client.call("tuple") == [1, {"cents": "1.50"}]
    await client.disconnect()


async def test_a_refusals_data_may_be_a_model(serve: Serve) -> None:
    class Closed(SocketIOGateway):
        async def on_connect(self, connection: Connection) -> None:
            refusal = Refusal("closed")
            refusal.data = Money()
            raise refusal

    server = await serve(RealtimeMiddleware(fastapi.FastAPI(), gateways=[Closed("/")], settings=SETTINGS))
    with pytest.raises(ConnectRefused) as refused:
        await PythonClient().connect(server.url, auth=AUTH, transports=["websocket"])
    assert refused.value.data == {"cents": "1.50"}


# Inbound


def handlers(gateway: SocketIOGateway | WebSocketGateway) -> None:
    """A handler for every kind of annotation. Each reports that it was called."""
    for name, (annotation, _, _) in KINDS.items():

        async def handler(value: Any, connection: Connection) -> str:
            await connection.send("taken")
            return "taken"

        handler.__annotations__ = {"value": annotation, "connection": Connection}
        gateway.on(name)(handler)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_annotations_mean_the_same_to_every_client(implementation: Implementation, serve: Serve) -> None:
    feed, frames = Feed("/"), Frames("/frames")
    handlers(feed)
    handlers(frames)
    server = await serve(
        RealtimeMiddleware(fastapi.FastAPI(), gateways=[feed, frames], settings=SETTINGS), implementation
    )
    client = PythonClient()
    await client.connect(server.url, auth=AUTH, transports=["websocket"])
    async with websockets.connect(f"{server.websocket_url}/frames?token={AUTH['token']}") as socket:
        await socket.recv()  # auth_success
        for name, (_, good, bad) in KINDS.items():
            assert await client.call(name, good) == ["taken"], name
            (refused,) = await client.call(name, bad)
            assert refused["code"] == "INVALID_MESSAGE" and "`$" in refused["message"], name
            if name != "bytes":  # JSON has no such value
                await socket.send(json.dumps({"type": name, "data": good}))
                assert json.loads(await socket.recv()) == {"type": "taken"}, name
                await socket.send(json.dumps({"type": name, "data": bad}))
                error = json.loads(await socket.recv())
                assert error == {"type": "error", "data": {"code": "INVALID_MESSAGE", "message": refused["message"]}}
    await client.disconnect()


async def test_the_test_client_sends_models_too() -> None:
    feed, frames = Feed("/"), Frames("/frames")
    for gateway in (feed, frames):

        @gateway.on("say")
        async def say(money: dict[str, str], connection: Connection, broadcaster: Broadcaster) -> None:
            await connection.send("said", money)

    app = RealtimeMiddleware(fastapi.FastAPI(), gateways=[feed, frames], settings=SETTINGS)
    async with RealtimeTestClient(app) as client:
        for path in ("/", "/frames"):
            async with client.connect(path, token=client.token("ann")) as socket:
                await socket.send("say", Money())
                assert (await socket.expect("said")).data == {"cents": "1.50"}
