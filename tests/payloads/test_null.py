"""JSON's `null` is a payload and differs from no payload, in every dialect, inbound and outbound."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec
import pytest
import websockets
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    EventsBroadcaster,
    EventsGateway,
    FlatJSONDialect,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    on,
)
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.testing import RealtimeTestClient, Socket
from tests.support.raw_engineio import raw_client
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


class Handlers(Gateway):
    """Sends the arguments of its handlers back to the client."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("room")

    @on("one")
    async def one(self, value: int | None, connection: Connection) -> None:
        await connection.send("got", repr(value))

    @on("any")
    async def any(self, value: Any, connection: Connection) -> None:
        await connection.send("got", repr(value))

    @on("optional")
    async def optional(self, connection: Connection, value: int | None = 7) -> None:
        await connection.send("got", repr(value))

    @on("never null")
    async def never_null(self, value: int, connection: Connection) -> None:
        await connection.send("got", repr(value))

    @on("none")
    async def none(self, connection: Connection) -> None:
        await connection.send("got", "nothing")


class Space(Handlers, SocketIOGateway):
    @on("acknowledge")
    async def acknowledge(self, what: str) -> Any:
        return {"nothing": None, "null": (None,), "two": (None, None), "empty": ()}[what]

    @on("ask")
    async def ask(self, how: str, connection: Connection) -> str:
        answer = await (connection.call("question") if how == "nothing" else connection.call("question", None))
        return repr(answer)


class Path(Handlers, WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("room")
        if connection.identity.claims.get("last"):
            await self.broadcaster.take_over(connection, "last", *connection.identity.claims["last"][1:])


@dataclasses.dataclass
class Follow:
    symbol: str | None = "everything"
    depth: int | None | msgspec.UnsetType = msgspec.UNSET


class Flat(WebSocketGateway):
    wire = FlatJSONDialect()

    @on("follow")
    async def follow(self, follow: Follow, connection: Connection) -> None:
        await connection.send("following", [repr(follow.symbol), repr(follow.depth)])

    @on("describe")
    async def describe(self, fields: dict[str, Any], connection: Connection) -> None:
        self.push_frame(connection, self.wire.flat("described", fields))


def application() -> RealtimeMiddleware:
    gateways = [Space("/"), EventsGateway(), Path("/path"), Flat("/flat")]
    return RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS)


Send: TypeAlias = Callable[[RealtimeTestClient, Socket, list[Any]], Awaitable[Any]]


def in_thread(call: Callable[[RealtimeTestClient, Socket, list[Any]], Any]) -> Send:
    async def send(client: RealtimeTestClient, socket: Socket, data: list[Any]) -> Any:
        return await asyncio.to_thread(call, client, socket, data)

    return send


SENDERS: dict[str, Send] = {
    "broadcast_to_room": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_room("room", "x", *d),
    "broadcast_to_user": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_user("ann", "x", *d),
    "broadcast_to_users": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_users(["ann"], "x", *d),
    "broadcast_to_all": lambda c, s, d: c.broadcaster.of(s.gateway).broadcast_to_all("x", *d),
    "sync room": in_thread(lambda c, s, d: c.broadcaster.sync.of(s.gateway).broadcast_to_room("room", "x", *d)),
    "sync user": in_thread(lambda c, s, d: c.broadcaster.sync.of(s.gateway).broadcast_to_user("ann", "x", *d)),
    "sync users": in_thread(lambda c, s, d: c.broadcaster.sync.of(s.gateway).broadcast_to_users(["ann"], "x", *d)),
    "sync all": in_thread(lambda c, s, d: c.broadcaster.sync.of(s.gateway).broadcast_to_all("x", *d)),
    "connection.send": lambda c, s, d: s.connection.send("x", *d),
}


@pytest.mark.parametrize("gateway", ["/", "/path", "/flat"])
@pytest.mark.parametrize("sender", SENDERS)
async def test_null_and_no_payload_are_sent_as_different_events(sender: str, gateway: str) -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect(gateway, token=client.token("ann")) as socket:
            await socket.connection.join("room")
            for data in ([], [None], [0], [""], [False], []):
                await SENDERS[sender](client, socket, data)
                assert (await socket.expect("x")).args == tuple(data)


@pytest.mark.parametrize("form", [lambda b: b, lambda b: b.sync])
@pytest.mark.parametrize("method", ["broadcast_to_room", "broadcast_to_all"])
async def test_the_events_broadcaster_distinguishes_null_from_no_payload(
    method: str, form: Callable[[EventsBroadcaster], Any]
) -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect("/events", token=client.token("ann")) as socket:
            await socket.connection.join("room")
            where = ["room"] if method == "broadcast_to_room" else []
            send: Callable[..., Any] = getattr(form(EventsBroadcaster(client.broadcaster.of("/events"))), method)
            for data in ([], [None]):
                if asyncio.iscoroutinefunction(send):
                    await send(*where, "x", *data)
                else:
                    await asyncio.to_thread(send, *where, "x", *data)
                assert (await socket.expect("x")).args == tuple(data)


@pytest.mark.parametrize("data", [[], [None]])
async def test_the_last_event_of_a_replaced_connection_distinguishes_null_from_no_payload(data: list[Any]) -> None:
    async with RealtimeTestClient(application()) as client:
        token = client.token("ann", last=["last", *data])
        async with client.connect("/path", token=token) as older, client.connect("/path", token=token):
            assert (await older.expect("last")).args == tuple(data)


@pytest.mark.parametrize("gateway", ["/", "/path"])
@pytest.mark.parametrize(
    ("event", "sent", "expected"),
    [
        ("one", [None], "None"),
        ("one", [3], "3"),
        ("one", [], "a payload is missing"),
        ("any", [None], "None"),
        ("any", [], "a payload is missing"),
        ("optional", [None], "None"),
        ("optional", [], "7"),
        ("never null", [None], "Expected `int`, got `null`"),
        ("never null", [], "a payload is missing"),
        ("none", [None], "nothing"),
        ("none", [], "nothing"),
    ],
)
async def test_a_handler_distinguishes_null_from_no_payload(
    event: str, sent: list[Any], expected: str, gateway: str
) -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect(gateway, token=client.token("ann")) as socket:
            await socket.send(event, *sent)
            await client.settle()
            answer = socket.events[-1]
            assert expected in (answer.data if answer.name == "got" else answer.data["message"])


async def test_flat_fields_distinguish_null_from_absent() -> None:
    async with RealtimeTestClient(application()) as client:
        async with client.connect("/flat", token=client.token("ann")) as socket:
            for fields, expected in (
                ({}, ["'everything'", "UNSET"]),
                ({"symbol": None, "depth": None}, ["None", "None"]),
                ({"symbol": "X"}, ["'X'", "UNSET"]),
            ):
                await socket.send("follow", **fields)
                assert (await socket.expect("following")).data == expected
            await socket.send("describe", a=None)
            assert (await socket.expect("described")).data == {"a": None}
            await socket.send("describe")
            assert (await socket.expect("described")).args == ()


def test_a_flat_frame_cannot_carry_null() -> None:
    assert FlatJSONDialect().flat("x").messages == ('{"type":"x"}',)
    with pytest.raises(TypeError):
        FlatJSONDialect().flat("x", None)


@pytest.mark.parametrize(
    ("what", "wire"), [("nothing", "[]"), ("null", "[null]"), ("two", "[null,null]"), ("empty", "[]")]
)
@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_acknowledgements_distinguish_null_from_no_value(
    what: str, wire: str, implementation: Implementation, serve: Serve
) -> None:
    server = await serve(application(), implementation)
    async with raw_client(server, "websocket") as client:
        await client.connect({"token": create_token("ann", SETTINGS)})
        await client.send_packet(f'427["acknowledge","{what}"]')
        assert await client.next() == f"437{wire}"


@pytest.mark.parametrize(("how", "wire"), [("nothing", '["question"]'), ("null", '["question",null]')])
@pytest.mark.parametrize(("answer", "result"), [("[]", "None"), ("[null]", "None"), ("[null,null]", "[None, None]")])
async def test_a_call_and_its_acknowledgement_distinguish_null_from_no_value(
    how: str, wire: str, answer: str, result: str, serve: Serve
) -> None:
    async with raw_client(await serve(application()), "websocket") as client:
        await client.connect({"token": create_token("ann", SETTINGS)})
        await client.send_packet(f'421["ask","{how}"]')
        assert await client.next() == f"420{wire}"
        await client.send_packet(f"430{answer}")
        assert await client.next() == f'431["{result}"]'


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_json_frames_distinguish_null_from_no_payload(implementation: Implementation, serve: Serve) -> None:
    middleware = application()
    server = await serve(middleware, implementation)
    url = f"{server.websocket_url}/path?token={create_token('ann', SETTINGS)}&recovery=false"
    async with websockets.connect(url) as websocket, asyncio.timeout(10):
        await websocket.recv()
        for frame, expected in (('{"type":"optional"}', "7"), ('{"type":"optional","data":null}', "None")):
            await websocket.send(frame)
            assert json.loads(await websocket.recv()) == {"type": "got", "data": expected}
        for data, frame in (([], '{"type":"x"}'), ([None], '{"type":"x","data":null}')):
            await middleware.broadcaster.broadcast_to_all("x", *data, gateway="/path")
            assert await websocket.recv() == frame
