"""A client refused on connect first gets code and reason of the host, in each dialect."""

from __future__ import annotations

import asyncio
import json
import logging
import urllib.parse
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import pytest
import websockets
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Disconnect,
    EventsGateway,
    Forbidden,
    Handshake,
    Identity,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    Unauthorized,
    WebSocketGateway,
)
from asgi_realtime.socketio.exceptions import ConnectionRefusedError as SocketIORefused
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from tests.support.node_client import ConnectRefused, Node
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.stock_client import CLIENT_KINDS, ClientKind, connect_stock
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
EVERY_SERVER: tuple[Implementation, ...] = (*IMPLEMENTATIONS, "plain")

Way: TypeAlias = Callable[[Connection], Awaitable[object]]


class Banned(Refusal):
    code = "BANNED"

    def __init__(self) -> None:
        super().__init__("you are banned")


def raising(error: Exception) -> Way:
    async def refuse(connection: Connection) -> None:
        raise error

    return refuse


def closing(code: int, reason: str) -> Way:
    return lambda connection: connection.close(code, reason)


async def closing_and_working(connection: Connection) -> None:
    await connection.close(4403, "banned")
    await asyncio.sleep(0.01)  # a host that works on for many ticks after `close`
    await connection.send("too late")
    await connection.close(1012, "another")


async def closing_and_raising(connection: Connection) -> None:
    await connection.close(4403, "banned")
    raise Disconnect(4404, "gone")


WAYS: dict[str, tuple[Way, str, object, tuple[int, str]]] = {
    "Refusal with a code": (raising(Refusal("not today", code="CLOSED")), "not today", "CLOSED", (1008, "not today")),
    "Refusal subclass": (raising(Banned()), "you are banned", "BANNED", (1008, "you are banned")),
    "Unauthorized": (raising(Unauthorized()), "invalid credentials", "UNAUTHORIZED", (1008, "invalid credentials")),
    "Forbidden": (raising(Forbidden("not here")), "not here", "FORBIDDEN", (1008, "not here")),
    "Disconnect": (raising(Disconnect(4403, "banned")), "banned", 4403, (4403, "banned")),
    "Disconnect(1013)": (raising(Disconnect(1013, "later")), "later", 1013, (1013, "later")),
    "Disconnect without a reason": (raising(Disconnect(4403)), "refused", 4403, (4403, "")),
    "a long reason": (raising(Disconnect(4403, "ä" * 100)), "ä" * 100, 4403, (4403, "ä" * 61)),
    "close()": (closing(4403, "banned"), "banned", 4403, (4403, "banned")),
    "close(1008)": (closing(1008, "banned"), "banned", 1008, (1008, "banned")),
    "close() without a code": (lambda connection: connection.close(), "refused", 1000, (1000, "")),
    "close() and more work": (closing_and_working, "banned", 4403, (4403, "banned")),
    "close() and another refusal": (closing_and_raising, "gone", 4404, (4404, "gone")),
}
"""How `on_connect` refuses; `message` and `data.code` on Socket.IO; the close code and reason of a JSON WebSocket."""


AT_THE_DOOR = [name for name in WAYS if not name.startswith("close")]
"""Those that an authenticator has too, which has no connection."""


async def at_the_door(handshake: Handshake) -> Identity:
    """Authenticate, and refuse, as the client asks."""
    credentials = handshake.auth if isinstance(handshake.auth, dict) else dict(handshake.query)
    if credentials.get("where") == "authenticator":
        await WAYS[credentials["way"]][0](None)  # type: ignore[arg-type]
    return Identity(user_id=credentials["way"])


class Door(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.send("too early")
        await WAYS[connection.identity.user_id][0](connection)


class JSONDoor(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.send("too early")
        await WAYS[connection.identity.user_id][0](connection)


def app() -> RealtimeMiddleware:
    gateways = [Door("/", authenticator=at_the_door), JSONDoor("/door", authenticator=at_the_door)]
    return RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS)


def attempts() -> list[tuple[str, str]]:
    return [("on_connect", way) for way in WAYS] + [("authenticator", way) for way in AT_THE_DOOR]


@pytest.mark.parametrize("kind", CLIENT_KINDS)
async def test_a_socket_io_client_gets_the_code_and_the_message(kind: ClientKind, serve: Serve, node: Node) -> None:
    middleware = app()
    server = await serve(middleware)
    for where, way in attempts():
        _, message, code, _ = WAYS[way]
        with pytest.raises(ConnectRefused) as refused:
            await connect_stock(kind, node, server.url, "/", {"where": where, "way": way}, None)
        assert (refused.value.message, refused.value.data) == (message, {"code": code}), (where, way)
    assert not len(middleware.realtime.hub.rooms(middleware.realtime.one(Door).name))


@pytest.mark.parametrize("implementation", EVERY_SERVER)
async def test_a_json_client_gets_the_frame_the_close_code_and_the_reason(
    implementation: Implementation, serve: Serve
) -> None:
    middleware = app()
    server = await serve(middleware, implementation)
    for where, way in attempts():
        _, message, code, close = WAYS[way]
        data = {"message": message} | ({"code": code} if way.startswith("Refusal") else {})
        query = urllib.parse.urlencode({"token": "any", "where": where, "way": way})
        async with websockets.connect(f"{server.websocket_url}/door?{query}") as client:
            assert json.loads(await client.recv()) == {"type": "auth_error", "data": data}, (where, way)
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == close, (where, way)
    await until(lambda: not len(middleware.realtime.hub.rooms(middleware.realtime.one(JSONDoor).name)))


class Careless(WebSocketGateway):
    """Closes with the requested close code."""

    code: Any = 1005

    async def on_connect(self, connection: Connection) -> None:
        raise Banned

    def close_code(self, refusal: Refusal) -> int:
        return self.code  # type: ignore[no-any-return]


@pytest.mark.parametrize("implementation", EVERY_SERVER)
async def test_close_codes_that_may_not_be_sent_are_one_error_in_the_log(
    implementation: Implementation, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Careless("/careless", authenticator=at_the_door)
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS), implementation)
    for code in (99, 1005, 1006, 70_000, "1008", None):
        gateway.code = code
        async with websockets.connect(f"{server.websocket_url}/careless?token=any&way=x") as client:
            await client.recv()
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (1008, "you are banned")
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]  # one line a minute
    assert "Careless.close_code" in record.getMessage() and "code=99" in record.getMessage()


class Returns(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> Any:
        return False


class ReturnsInAThread(SocketIOGateway):
    def on_connect(self, connection: Connection) -> Any:
        return False


class JSONReturns(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> Any:
        return False


@pytest.mark.parametrize(
    "gateway",
    [
        lambda: Returns("/false"),
        lambda: ReturnsInAThread("/false"),
        lambda: JSONReturns("/false"),
        lambda: EventsGateway("/false", connected=lambda connection: False),
    ],
    ids=["Socket.IO", "a thread", "JSON", "connected= of Events"],
)
async def test_a_hook_that_returns_false_refuses_the_client(
    gateway: Callable[[], Any], caplog: pytest.LogCaptureFixture
) -> None:
    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[gateway()], settings=SETTINGS)) as client:
        with pytest.raises(ConnectionRefused, match="internal error"):
            async with client.connect("/false", token=client.token("ann")):
                pass
        assert not await client.broadcaster.online_users()
    assert "returned False; to refuse a client, raise Forbidden()" in caplog.text


async def test_half_a_surrogate_pair_in_a_reason_is_replaced(serve: Serve) -> None:
    class Gateway(WebSocketGateway):
        def rejected_frame(self, refusal: Refusal) -> None:
            return None

        async def on_connect(self, connection: Connection) -> None:
            raise Disconnect(4403, "\ud83d!")

    for implementation in EVERY_SERVER:
        app = RealtimeMiddleware(Starlette(), gateways=[Gateway("/door", authenticator=at_the_door)], settings=SETTINGS)
        server = await serve(app, implementation)
        async with websockets.connect(f"{server.websocket_url}/door?token=any&way=x") as client:
            await client.wait_closed()
            assert (client.close_code, client.close_reason) == (4403, "\ufffd!")


REFUSED_BY_HANDLERS: dict[str, tuple[Callable[..., Any], str, Any]] = {
    "ConnectionRefusedError": (lambda: SocketIORefused("banned", {"until": 7}), "banned", {"until": 7}),
    "the built-in ConnectionRefusedError": (ConnectionRefusedError, "Connection refused by server", None),
    "Disconnect": (lambda: Disconnect(4403, "banned"), "banned", {"code": 4403}),
    "Refusal": (lambda: Refusal("not today", code="CLOSED"), "not today", {"code": "CLOSED"}),
}


async def test_a_connect_handler_of_a_server_refuses(serve: Serve, node: Node) -> None:
    sio = SocketIOServer()

    @sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: dict[str, str]) -> bool:
        await sio.emit("too early", to=sid)
        if auth["way"] == "disconnect()":
            await sio.disconnect(sid)
        elif auth["way"] != "False":
            raise REFUSED_BY_HANDLERS[auth["way"]][0]()
        return auth["way"] != "False"

    server = await serve(RealtimeMiddleware(Starlette(), gateways=[sio], settings=SETTINGS))
    answers = {way: (message, data) for way, (_, message, data) in REFUSED_BY_HANDLERS.items()}
    answers["disconnect()"] = ("server disconnect", {"code": 1000})
    answers["False"] = ("Connection rejected by server", None)
    for kind in CLIENT_KINDS:
        for way, answer in answers.items():
            with pytest.raises(ConnectRefused) as refused:
                await connect_stock(kind, node, server.url, "/", {"way": way}, None)
            assert (refused.value.message, refused.value.data) == answer, (kind, way)
