"""Events that a client sends again: handled once, and answered again. With stock clients and with plain WebSockets."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypedDict

import msgspec
import pytest
import websockets
from pydantic import BaseModel, Field
from starlette.applications import Starlette

from asgi_realtime import (
    ConfigurationError,
    Connection,
    FlatJSONDialect,
    Forbidden,
    Frame,
    Identity,
    Limits,
    Realtime,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    create_token,
    on,
)
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.values.json import Json
from tests.support.node_client import Node, NodeClient
from tests.support.redis_places import RedisPlaces
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
RETRYING: dict[str, Json] = {"retries": 3, "ackTimeout": 10_000}


class Order(msgspec.Struct, rename="camel"):
    order_id: str
    item: str


class Shop(SocketIOGateway):
    """Its handlers wait until `may_end` is set."""

    def __init__(self, limits: Limits | None = None) -> None:
        super().__init__("/", limits=limits)
        self.handled: list[str] = []
        self.may_end = asyncio.Event()
        self.failures: list[Exception] = []
        self.ended = 0

    @on("order", once="orderId")
    async def order(self, order: Order, connection: Connection) -> dict[str, Json]:
        self.handled.append(order.item)
        await self.may_end.wait()
        self.ended += 1
        if self.failures:
            raise self.failures.pop()
        return {"number": len(self.handled), "item": order.item}

    @on("text", once="offset")
    async def text(self, text: str, offset: str | None = None) -> int:
        self.handled.append(text)
        return len(self.handled)

    @on("file", once="id")
    def file(self, file: dict[str, Any]) -> tuple[bytes, int]:
        self.handled.append(file["name"])
        return b"\0\xff", len(self.handled)


class Site:
    """A server, and clients of its gateway."""

    def __init__(self, node: Node, shop: Shop, server: LiveServer, realtime: Realtime) -> None:
        self.node = node
        self.shop = shop
        self.server = server
        self.realtime = realtime

    async def connect(self, user_id: str = "ann", **options: Json) -> NodeClient:
        auth = {"token": create_token(user_id, settings=SETTINGS)}
        return await self.node.connect(self.server.url, auth=auth, transports=["websocket"], **(RETRYING | options))

    async def lose(self, client: NodeClient) -> None:
        """Let a client lose its connection, and wait until the server knows."""
        await client.drop()
        await until(lambda: not self.realtime.engineio.sessions)


@pytest.fixture
async def site(node: Node, serve: Serve) -> AsyncIterator[Site]:
    shop = Shop()
    app = RealtimeMiddleware(Starlette(), gateways=[shop], settings=SETTINGS)
    yield Site(node, shop, await serve(app), app.realtime)


async def test_an_event_that_is_sent_again_after_a_reconnect_is_handled_once(site: Site) -> None:
    client = await site.connect()
    answer = asyncio.ensure_future(client.deliver("order", {"orderId": "1", "item": "tea"}))
    await until(lambda: site.shop.handled == ["tea"])
    await site.lose(client)
    site.shop.may_end.set()
    await until(lambda: site.shop.ended == 1)  # the answer is lost
    await client.reconnect()
    assert await answer == {"number": 1, "item": "tea"}
    assert await client.deliver("order", {"orderId": "2", "item": "jam"}) == {"number": 2, "item": "jam"}
    assert site.shop.handled == ["tea", "jam"]


async def test_a_new_session_of_the_user_gets_the_answer(site: Site) -> None:
    site.shop.may_end.set()
    order = {"orderId": "1", "item": "tea"}
    first = await site.connect()
    assert await first.deliver("order", order) == {"number": 1, "item": "tea"}
    await first.disconnect()
    second = await site.connect()
    assert await second.deliver("order", order) == {"number": 1, "item": "tea"}
    await second.emit("order", order)
    other_user = await site.connect("bob")
    assert await other_user.deliver("order", order) == {"number": 2, "item": "tea"}
    assert site.shop.handled == ["tea", "tea"]


async def test_an_event_in_progress_answers_every_copy(site: Site) -> None:
    client = await site.connect()
    answer = asyncio.ensure_future(client.deliver("order", {"orderId": "1", "item": "tea"}))
    await until(lambda: site.shop.handled == ["tea"])
    await site.lose(client)
    await client.reconnect()
    other = await site.connect(ackTimeout=50, retries=1)  # both tries are over before the handler ends
    with pytest.raises(RuntimeError, match="timed out"):
        await other.deliver("order", {"orderId": "1", "item": "tea"})
    third = await site.connect()
    another = asyncio.ensure_future(third.deliver("order", {"orderId": "1", "item": "tea"}))
    assert await (await site.connect(retries=0)).call("text", "the order has not ended") == [2]
    site.shop.may_end.set()
    assert await answer == await another == {"number": 2, "item": "tea"}
    assert site.shop.handled == ["tea", "the order has not ended"]


async def test_a_client_without_an_ack_timeout_sends_each_event_several_times(site: Site) -> None:
    """The stock client then takes the first value of the answer for an error, and tries again."""
    site.shop.may_end.set()
    client = await site.connect(retries=2, ackTimeout=None)
    with pytest.raises(RuntimeError):
        await client.deliver("order", {"orderId": "1", "item": "tea"})
    with pytest.raises(RuntimeError):
        await client.deliver("text", "sent without an id")
    assert site.shop.handled == ["tea", *["sent without an id"] * 3]


async def test_a_failed_handler_may_run_again(site: Site) -> None:
    client = await site.connect(retries=0)
    site.shop.may_end.set()
    order = {"orderId": "1", "item": "tea"}
    site.shop.failures = [ValueError("the database is away"), Forbidden("not today")]
    assert await client.call("order", order) == [{"success": False, "code": "FORBIDDEN", "message": "not today"}]
    assert await client.call("order", order) == [{"success": False, "code": "INTERNAL", "message": "internal error"}]
    for _ in range(2):
        assert await client.call("order", order) == [{"number": 3, "item": "tea"}]


async def test_what_waits_for_a_handler_that_fails_runs_it_again(site: Site) -> None:
    client = await site.connect()
    answer = asyncio.ensure_future(client.deliver("order", {"orderId": "1", "item": "tea"}))
    await until(lambda: site.shop.handled == ["tea"])
    await site.lose(client)
    await client.reconnect()
    assert await (await site.connect(retries=0)).call("text", "so it is waiting") == [2]
    site.shop.failures = [Forbidden("the client has gone")]
    site.shop.may_end.set()
    assert await answer == {"number": 3, "item": "tea"}


async def test_an_id_that_another_event_had_is_refused(site: Site) -> None:
    client = await site.connect(retries=0)
    site.shop.may_end.set()
    assert await client.call("order", {"orderId": "1", "item": "tea"}) == [{"number": 1, "item": "tea"}]
    conflict = {"success": False, "code": "CONFLICT", "message": "another event had this id"}
    assert await client.call("order", {"orderId": "1", "item": "jam"}) == [conflict]
    assert await client.call("text", "an event of another name may have it", "1") == [2]
    assert site.shop.handled == ["tea", "an event of another name may have it"]


async def test_every_kind_of_answer_is_repeated(site: Site) -> None:
    client = await site.connect(retries=0)
    for _ in range(2):
        assert await client.call("file", {"id": 7, "name": "a.png", "data": b"\1"}) == [b"\0\xff", 1]
    assert await client.call("file", {"id": "7", "name": "a.png", "data": b"\2"}) == [
        {"success": False, "code": "CONFLICT", "message": "another event had this id"}
    ]


@pytest.mark.parametrize(
    "wrong", ["", "x" * 201, "\u00e9" * 101, "a\nb", "\0", "\ufffd", 1.5, True, [], {"a": 1}, 1 << 80, b"id"]
)
async def test_what_is_no_id_is_refused(site: Site, wrong: Json) -> None:
    client = await site.connect(retries=0)
    for event in (("file", {"id": wrong, "name": "a"}), ("file", {"name": "a"}), ("file", {"id": None, "name": "a"})):
        (answer,) = await client.call(*event)
        assert answer["code"] == "INVALID_MESSAGE"
        assert "id must be the event's id: a text of 1 to 200 bytes" in answer["message"]
    assert site.shop.handled == []
    assert await client.call("file", {"id": "x" * 200, "name": "a"}) == [b"\0\xff", 1]


async def test_an_event_whose_id_may_be_missing_is_handled_each_time(site: Site) -> None:
    client = await site.connect(retries=0)
    assert [await client.call("text", "a") for _ in range(2)] == [[1], [2]]
    assert [await client.call("text", "a", None) for _ in range(2)] == [[3], [4]]
    assert [await client.call("text", "a", "1") for _ in range(2)] == [[5], [5]]


async def test_the_answers_of_a_user_are_limited(node: Node, serve: Serve) -> None:
    shop = Shop(Limits(once_answers=2, event_id_bytes=3))
    app = RealtimeMiddleware(Starlette(), gateways=[shop], settings=SETTINGS)
    client = await Site(node, shop, await serve(app), app.realtime).connect(retries=0)
    for number, offset in enumerate(("one", "two", "3"), 1):
        assert await client.call("text", offset, offset) == [number]
    assert [await client.call("text", offset, offset) for offset in ("two", "3", "one")] == [[2], [3], [4]]
    (answer,) = await client.call("text", "a", "four")
    assert "1 to 3 bytes" in answer["message"]


# JSON WebSockets


class Desk(WebSocketGateway):
    def __init__(self) -> None:
        super().__init__("/desk")
        self.handled: list[str] = []
        self.may_end = asyncio.Event()

    @on("order", once="orderId")
    async def order(self, order: Order, identity: Identity) -> dict[str, str]:
        self.handled.append(order.item)
        await self.may_end.wait()
        return {"item": order.item}

    @on("cancel", once="id")
    async def cancel(self, cancel: dict[str, str]) -> None:
        self.handled.append("cancel")


async def test_a_plain_websocket_gets_an_ack_each_time(serve: Serve) -> None:
    desk = Desk()
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[desk], settings=SETTINGS))
    url = f"{server.websocket_url}/desk?token={create_token('ann', settings=SETTINGS)}"
    order = json.dumps({"type": "order", "data": {"orderId": "1", "item": "tea"}})
    ack = {"type": "ack", "data": {"id": "1", "result": {"item": "tea"}}}
    async with websockets.connect(url) as first:
        await first.recv()
        await first.send(order)
        await until(lambda: desk.handled == ["tea"])
    async with websockets.connect(url) as second:
        await second.recv()
        await second.send(order)
        await second.send(order)
        desk.may_end.set()
        assert [json.loads(await second.recv()) for _ in range(2)] == [ack, ack]
        for _ in range(2):
            await second.send(json.dumps({"type": "cancel", "data": {"id": "c"}}))
            assert json.loads(await second.recv()) == {"type": "ack", "data": {"id": "c"}}
        await second.send(json.dumps({"type": "order", "data": {"orderId": "1", "item": "jam"}}))
        assert json.loads(await second.recv())["data"] == {"code": "CONFLICT", "message": "another event had this id"}
    assert desk.handled == ["tea", "cancel"]


class FlatDesk(WebSocketGateway):
    """Has frames of its own, and names the event that was refused."""

    wire = FlatJSONDialect()

    def ack_frame(self, event_id: str, values: Sequence[Json]) -> Frame:
        return self.wire.flat("done", {"id": event_id, "result": values})

    def error_frame(self, refusal: Refusal, sent: Any) -> Frame:
        return self.wire.flat("failed", {"id": sent.get("id"), "code": refusal.reply_code})

    @on("order", once="id")
    async def order(self, order: dict[str, Any]) -> tuple[int, int] | None:
        if order["item"] == "nothing":
            return None
        if order["item"] == "refused":
            raise Forbidden("no")
        return 1, 2


async def test_a_gateway_may_have_other_frames() -> None:
    gateway = FlatDesk("/desk")
    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)) as client:
        async with client.connect("/desk", token=client.token("ann")) as socket:
            for item, event, rest in (
                ("tea", "done", {"result": [1, 2]}),
                ("nothing", "done", {"result": []}),
                ("refused", "failed", {"code": "FORBIDDEN"}),
            ):
                for _ in range(2):
                    await socket.send("order", id=item, item=item)
                    assert (await socket.expect(event)).data == {"id": item, **rest}


# Several processes


async def test_the_copy_of_an_event_may_come_to_another_process(
    node: Node, serve: Serve, redis_places: RedisPlaces
) -> None:
    settings = Settings(
        jwt_secret=SETTINGS.jwt_secret,
        redis_url=redis_places("socket").url,
        redis_prefix=f"test-{secrets.token_hex(4)}",
        publish_timeout=10.0,
        presence_grace=0.0,
    )
    sites = []
    for _ in range(2):
        shop = Shop()
        app = RealtimeMiddleware(Starlette(), gateways=[shop], settings=settings)
        sites.append(Site(node, shop, await serve(app), app.realtime))
    one, other = sites
    order = {"orderId": "1", "item": "tea"}
    first = await one.connect()
    asking = asyncio.ensure_future(first.deliver("order", order))
    await until(lambda: one.shop.handled == ["tea"])
    second = await other.connect()
    again = asyncio.ensure_future(second.deliver("order", order))
    assert await (await other.connect(retries=0)).call("text", "so it is waiting") == [1]
    one.shop.may_end.set()
    assert await asking == await again == {"number": 1, "item": "tea"}
    assert await second.deliver("order", order) == {"number": 1, "item": "tea"}
    assert other.shop.handled == ["so it is waiting"]


# What is refused at start-up


class Typed(TypedDict):
    id: str


class Model(BaseModel):
    client_id: str = Field(alias="clientId")


@dataclass
class Plain:
    id: int
    parts: list[str]


class Tree(msgspec.Struct):
    id: str
    child: Tree | None = None


def mounted(function: Callable[..., Awaitable[object]], once: Any) -> None:
    gateway = SocketIOGateway("/")
    gateway.on("order", once=once)(function)
    Realtime(gateways=[gateway], settings=SETTINGS)


async def typed(data: Typed) -> None: ...
async def model(data: Model) -> None: ...
async def plain(connection: Connection, data: Plain) -> None: ...
async def tree(data: Tree) -> None: ...
async def optional(data: Order | None) -> None: ...
async def anything(data) -> None: ...  # type: ignore[no-untyped-def]
async def texts(text: str, offset: str | None = None) -> None: ...
async def number(data: Plain, count: float) -> None: ...
async def nothing(connection: Connection) -> None: ...
async def several(*data: Plain) -> None: ...


@pytest.mark.parametrize(
    ("function", "once"),
    [
        *((typed, "id"), (model, "clientId"), (plain, "id"), (tree, "id"), (optional, "orderId"), (anything, "any")),
        *((texts, "offset"), (texts, "text")),
    ],
)
def test_an_id_may_be_in_any_payload(function: Callable[..., Awaitable[object]], once: str) -> None:
    mounted(function, once)


@pytest.mark.parametrize(
    ("function", "once", "message"),
    [
        (typed, "key", "once='key' is neither a parameter .* nor a field of the first one; there are data, id"),
        (model, "client_id", "once='client_id' is neither .*; there are data, clientId"),
        (optional, "order_id", "once='order_id' is neither .*; there are data, orderId, item"),
        (plain, "parts", "once='parts': that field is no text"),
        (number, "count", "once='count': that parameter is no text"),
        (typed, "data", "once='data': that parameter is no text"),
        (texts, "id", "once='id' is neither"),
        (nothing, "id", "once='id': the handler has no parameter that a client fills"),
        (several, "id", "once='id': the handler has no parameter that a client fills"),
        *((typed, wrong, "once takes the name of the field") for wrong in ("", 5, True, ["id"])),
    ],
)
def test_a_once_that_names_no_id_is_refused(
    function: Callable[..., Awaitable[object]], once: Any, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        mounted(function, once)
    if not isinstance(once, str):
        with pytest.raises(ConfigurationError, match=message):
            on("order", once=once)


class Base(SocketIOGateway):
    @on("a", once="id")
    @on("b")
    async def both(self, data: Typed) -> None: ...

    @on("c", once="id")
    @staticmethod
    async def static(data: Typed) -> None: ...


class Derived(Base):
    async def both(self, data: Typed) -> None: ...

    @on("c")
    async def replaced(self, data: Typed) -> None: ...


def test_once_belongs_to_the_declaration_of_an_event() -> None:
    assert Base("/").once == {"a": "id", "c": "id"}
    assert Derived("/").once == {"a": "id"}
    gateway = Base("/")
    gateway.declare("a", typed)
    assert gateway.once == {"c": "id"}


async def test_a_handler_that_is_declared_while_it_runs() -> None:
    gateway = SocketIOGateway("/")
    handled: list[str] = []
    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)) as client:

        @gateway.on("late", once="id")
        async def late(data: Typed) -> int:
            handled.append(data["id"])
            return len(handled)

        async with client.connect(token=client.token("ann")) as socket:
            assert [await socket.call("late", {"id": "x"}) for _ in range(2)] == [1, 1]
