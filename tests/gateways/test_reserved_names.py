"""Event names reserved by Socket.IO's clients are not sent, and attributes of the gateway class are not replaced."""

from __future__ import annotations

import enum
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, ClassVar

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Broadcaster,
    ChatGateway,
    ConfigurationError,
    Connection,
    EventsBroadcaster,
    EventsGateway,
    FlatJSONDialect,
    InfraGateway,
    JobsGateway,
    MewGateway,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    WebSocketGateway,
    down,
    on,
    up,
)
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.gateways.reserved_names import OVERRIDABLE, reserved_names
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.values.event_names import RESERVED
from tests.support.node_client import Node
from tests.support.servers import Serve

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes", presence_grace=0.0)
SOCKETIO = [SocketIOGateway, EventsGateway, MewGateway, InfraGateway]
JSON = [WebSocketGateway, ChatGateway, JobsGateway]


# Events that cannot be sent


class Room(SocketIOGateway):
    """Puts each client in the room `tea`. `try` sends an event in one of the ways of a handler."""

    def __init__(self) -> None:
        super().__init__("/")
        self.raised: list[BaseException] = []

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("tea")

    @on("send")
    async def _send(self, event: str, connection: Connection) -> None:
        await self._try(connection.send(event, 1))

    @on("call")
    async def _call(self, event: str, connection: Connection) -> None:
        await self._try(connection.call(event, 1))

    @on("push")
    async def _push(self, event: str, connection: Connection) -> None:
        async def push() -> None:
            self.push_event(connection, event, 1)

        await self._try(push())

    @on("latest")
    async def _latest(self, event: str, connection: Connection) -> None:
        await self._try(connection.join("tea", latest=event))

    @on("take over")
    async def _take_over(self, event: str, connection: Connection) -> None:
        await self._try(self.broadcaster.take_over(connection, event))

    async def _try(self, work: Awaitable[object]) -> None:
        try:
            await work
        except Exception as error:
            self.raised.append(error)


@asynccontextmanager
async def running(*gateways: Any) -> AsyncIterator[RealtimeTestClient]:
    async def host(scope: Any, receive: Any, send: Any) -> None: ...

    async with RealtimeTestClient(RealtimeMiddleware(host, gateways=gateways, settings=SETTINGS)) as client:
        yield client


SENDERS: dict[str, Callable[[Broadcaster, str], Awaitable[object]]] = {
    "room": lambda to, event: to.broadcast_to_room("tea", event, 1),
    "user": lambda to, event: to.broadcast_to_user("ann", event, 1),
    "users": lambda to, event: to.broadcast_to_users(["ann"], event, 1),
    "all": lambda to, event: to.broadcast_to_all(event, 1),
    "volatile": lambda to, event: to.broadcast_to_all(event, 1, volatile=True),
    "typed, room": lambda to, event: EventsBroadcaster(to).broadcast_to_room("tea", event, 1),
    "typed, all": lambda to, event: EventsBroadcaster(to).broadcast_to_all(event, 1),
}


@pytest.mark.parametrize("event", sorted(RESERVED))
@pytest.mark.parametrize("sender", SENDERS)
async def test_a_broadcast_of_a_reserved_event_is_refused_at_the_sender(sender: str, event: str) -> None:
    async with running(Room()) as client, client.connect("/", token=client.token("ann")) as socket:
        with pytest.raises(ValueError, match=f"'{event}' is reserved by Socket.IO"):
            await SENDERS[sender](client.broadcaster, event)
        await socket.expect_nothing()
        await SENDERS[sender](client.broadcaster, event + "ed")
        await socket.expect(event + "ed")


@pytest.mark.parametrize("way", ["send", "call", "push", "take over", "latest"])
async def test_a_handler_cannot_send_a_reserved_event(way: str) -> None:
    room = Room()
    async with running(room) as client, client.connect("/", token=client.token("ann")) as socket:
        await socket.send(way, "disconnect")
        await socket.expect_nothing()
        assert [type(error) for error in room.raised] == [ValueError]


@pytest.mark.parametrize("name", sorted(RESERVED))
async def test_a_socketio_server_cannot_send_a_reserved_event(name: str) -> None:
    sio = SocketIOServer()
    sids: list[str] = []
    sio.on("connect", lambda sid, environ: sids.append(sid))
    async with running(sio) as client, client.connect("/") as socket:
        calls: list[Callable[[], Awaitable[object]]] = [
            lambda: sio.emit(name),
            lambda: sio.emit(name, to=sids[0]),
            lambda: sio.emit(name, to=["a", "b"]),
            lambda: sio.emit(name, callback=print),
            lambda: sio.call(name, to=sids[0]),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="reserved"):
                await call()
        await socket.expect_nothing()


@pytest.mark.parametrize("event", [5, None, b"news", ("news",)], ids=repr)
@pytest.mark.parametrize("sender", SENDERS)
async def test_an_event_name_that_is_not_text_is_refused(sender: str, event: Any) -> None:
    async with running(Room(), WebSocketGateway("/json")) as client:
        for gateway in ("/", "/json"):
            with pytest.raises(TypeError, match="event must be a str"):
                await SENDERS[sender](client.broadcaster.of(gateway), event)


@pytest.mark.parametrize("sender", SENDERS)
async def test_an_event_name_that_is_too_long_is_refused(sender: str) -> None:
    async with running(Room()) as client:
        with pytest.raises(ValueError, match=r"event is over MEW_EVENT_NAME_BYTES \(200\)"):
            await SENDERS[sender](client.broadcaster, "x" * 201)
        await SENDERS[sender](client.broadcaster, "x" * 200)


class Kind(enum.StrEnum):
    NEWS = "news"


@pytest.mark.parametrize("gateway", ["/", "/json"])
async def test_an_event_may_be_a_member_of_an_enumeration(gateway: str) -> None:
    class Feed(WebSocketGateway):
        async def on_connect(self, connection: Connection) -> None:
            await connection.join("tea")

    async with running(Room(), Feed("/json")) as client:
        async with client.connect(gateway, token=client.token("ann")) as socket:
            await client.broadcaster.of(gateway).broadcast_to_room("tea", Kind.NEWS, 1)
            assert (await socket.expect("news")).data == 1


@pytest.mark.parametrize("name", sorted(RESERVED))
async def test_a_json_websocket_has_no_reserved_events(name: str) -> None:
    async with running(WebSocketGateway("/json")) as client:
        async with client.connect("/json", token=client.token("ann")) as socket:
            await client.broadcaster.broadcast_to_user("ann", name, 1)
            assert (await socket.expect(name)).data == 1


def test_a_field_cannot_take_the_place_of_the_event_in_a_flat_frame() -> None:
    with pytest.raises(TypeError, match="a field called 'type'"):
        FlatJSONDialect().flat("hello", {"type": "goodbye"})
    assert json.loads(str(FlatJSONDialect().flat("hello", {"kind": 1}).messages[0])) == {"type": "hello", "kind": 1}


@pytest.mark.parametrize("declare", [lambda: down("disconnect", to="all"), lambda: up("connect", effect="none")])
def test_a_declaration_of_a_reserved_event_ends_start_up(declare: Callable[[], Any]) -> None:
    class Declared(SocketIOGateway):
        events: ClassVar[Any] = (declare(),)

    with pytest.raises(ConfigurationError, match=r"Declared\.events: .* is reserved"):
        Realtime(gateways=[Declared()], settings=SETTINGS)


async def test_a_stock_client_stays_connected_when_the_host_sends_a_reserved_event(serve: Serve, node: Node) -> None:
    room = Room()

    async def host(scope: Any, receive: Any, send: Any) -> None: ...

    app = RealtimeMiddleware(host, gateways=[room], settings=SETTINGS)
    server = await serve(app)
    client = await node.connect(server.url, "/", auth={"token": create_token("ann", SETTINGS)})
    for name in sorted(RESERVED):
        with pytest.raises(ValueError, match="reserved"):
            await app.broadcaster.broadcast_to_room("tea", name, 1)
    await app.broadcaster.broadcast_to_room("tea", "news", 1)
    assert (await client.next()).event == "news"


# Attributes of the gateway class


def named(base: type, name: str, member: Any = None) -> type:
    """A class with one attribute: by default the handler of the event `said`."""

    async def handler(self: Any, text: str) -> Any:
        return text

    return type("Named", (base,), {name: on("said")(handler) if member is None else member, "__module__": __name__})


@pytest.mark.parametrize("base", [*SOCKETIO, *JSON])
def test_every_reserved_name_is_refused_for_a_handler_when_the_class_is_made(base: type) -> None:
    names = [*reserved_names(base), *(name for name in OVERRIDABLE if hasattr(base, name))]
    assert {"open", "disconnected", "receive", "bind", "limits", "context", "name", "broadcaster"} <= set(names)
    for name in names:
        with pytest.raises(ConfigurationError, match=f"'{name}' would replace a part of the gateway") as raised:
            named(base, name)
        assert str(raised.value).endswith(f"Reserved are: {', '.join(reserved_names(base))}")


@pytest.mark.parametrize("member", [lambda self: None, 5, property(lambda self: 5), None], ids=["def", "5", "@", "on"])
@pytest.mark.parametrize("base", [SocketIOGateway, WebSocketGateway])
def test_a_helper_or_a_value_cannot_replace_a_reserved_name(base: type, member: Any) -> None:
    for name in ("disconnected", "limits", "name", "_guard", "_prepare"):
        with pytest.raises(ConfigurationError, match=name):
            named(base, name, member)


@pytest.mark.parametrize("before", [True, False])
def test_a_mixin_counts_as_part_of_the_class(before: bool) -> None:
    class Mixin:
        @on("said")
        async def disconnected(self, text: str) -> None: ...

    with pytest.raises(ConfigurationError, match="'disconnected'"):
        type("Mixed", (Mixin, SocketIOGateway) if before else (SocketIOGateway, Mixin), {"__module__": __name__})


FREE = (
    *("error", "join", "refuse", "leave", "message", "read", "auth", "reply", "pong", "accepted", "rejected", "early"),
    *(
        "send",
        "close",
        "open_room",
        "ping",
        "connect",
        "disconnect",
        "rooms",
        "move",
        "typing",
        "accept",
        "emit",
        "call",
    ),
)


@pytest.mark.parametrize("base", [SocketIOGateway, WebSocketGateway, EventsGateway])
@pytest.mark.parametrize("name", FREE)
async def test_common_handler_names_are_not_reserved(base: type[SocketIOGateway | WebSocketGateway], name: str) -> None:
    gateway = named(base, name)("/feed")
    async with running(gateway) as client, client.connect("/feed", token=client.token("ann")) as socket:
        await socket.send("said", 5)
        assert "Expected `str`" in (await socket.expect("error")).data["message"] or base is EventsGateway
        if base is not WebSocketGateway:
            assert await socket.call("said", "hello") == "hello"
    assert not client.connections("ann", gateway="/feed")


def test_hooks_and_messages_to_clients_may_be_overridden() -> None:
    for name in OVERRIDABLE:
        for base in (SocketIOGateway, WebSocketGateway):
            if hasattr(base, name):
                named(base, name, vars(base).get(name, getattr(base, name)))


def test_a_handler_may_be_overridden_for_its_event_and_no_other() -> None:
    class Base(EventsGateway):
        @on("move")
        async def move(self, x: int) -> int:
            return x

    class Same(Base):
        @on("move")
        async def move(self, x: int) -> int:
            return -x

        async def _on_join(self, asked: Any, connection: Connection) -> Any:
            return await super()._on_join(asked, connection)

    assert Same().functions["move"].__func__ is Same.move  # type: ignore[attr-defined]
    with pytest.raises(ConfigurationError, match="'_on_join'"):

        class Other(Base):
            @on("enter")
            async def _on_join(self, asked: Any, connection: Connection) -> Any: ...


def test_a_misspelt_hook_or_one_of_another_library_is_refused() -> None:
    for name, remedy in (("on_conect", "on_connect"), ("on_message", r'@on\("message"\)')):
        with pytest.raises(ConfigurationError, match=f"{name}.*{remedy}"):
            named(SocketIOGateway, name, lambda self, connection: None)


@pytest.mark.parametrize("name", ["name", "limits", "context", "broadcaster", "dialect", "origins", "functions"])
def test_an_attribute_set_on_an_instance_replaces_nothing(name: str) -> None:
    class Careless(SocketIOGateway):
        def __init__(self) -> None:
            super().__init__("/")
            setattr(self, name, "mine")

    with pytest.raises(AttributeError, match=name):
        Careless()


@pytest.mark.parametrize("name", ["disconnected", "open", "receive", "_handle", "check_arrives"])
@pytest.mark.parametrize("base", [SocketIOGateway, WebSocketGateway])
async def test_an_attribute_in_the_place_of_a_method_ends_start_up(base: type, name: str) -> None:
    gateway = base("/careless")
    setattr(gateway, name, {})
    with pytest.raises(ConfigurationError, match=f"{base.__name__}: the attribute '{name}'.*choose another name"):
        async with started(gateway):
            pass


PRIVATE = ["_name", "_limits", "_handlers", "_functions", "_context", "_hooks", "_broadcaster", "_authenticator"]


@pytest.mark.parametrize("base", [*SOCKETIO, *JSON])
@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_attribute_of_the_gateway_is_refused_when_the_class_is_made(base: type, name: str) -> None:
    for member in (None, 5, lambda self: None):
        with pytest.raises(ConfigurationError, match=f"'{name}' would replace a part of the gateway"):
            named(base, name, member)
    with pytest.raises(ConfigurationError, match=name):
        type("Annotated", (base,), {"__annotations__": {name: int}, "__module__": __name__})


class Late(SocketIOGateway):
    """Sets an attribute at a time given by the test."""

    def __init__(self, when: str, name: str) -> None:
        self.when, self.attribute = when, name
        self.set("before")
        super().__init__("/late")
        self.set("after")

    def set(self, when: str) -> None:
        if when == self.when:
            setattr(self, self.attribute, {"host": "value"})

    async def on_start(self) -> None:
        self.set("start")


@pytest.mark.parametrize("name", [*PRIVATE, "_dialect", "_rates", "_handler_timeout", "_mounted", "_origins"])
@pytest.mark.parametrize("when", ["before", "after", "start"])
async def test_a_private_attribute_of_the_gateway_that_a_host_sets_ends_start_up(name: str, when: str) -> None:
    with pytest.raises(ConfigurationError, match=f"Late: the attribute '{name}'.*choose another name"):
        async with started(Late(when, name)):
            pass


async def test_a_gateway_that_sets_private_attributes_but_not_up_its_base_ends_start_up() -> None:
    class NoSuper(SocketIOGateway):
        def __init__(self) -> None:
            self._name = "/rooms"  # type: ignore[assignment]

    with pytest.raises(ConfigurationError, match=r"NoSuper\.__init__ does not call super\(\)\.__init__"):
        async with started(NoSuper()):
            pass


@pytest.mark.parametrize("base", [SocketIOGateway, WebSocketGateway, EventsGateway])
async def test_every_private_attribute_that_the_package_sets_is_declared_or_mangled(base: type) -> None:
    gateway = base("/checked")
    async with started(gateway):
        own = {name for name in vars(gateway) if name.startswith("_")}
    for name in own:
        if not any(name.startswith(f"_{kind.__name__}__") for kind in base.__mro__):
            with pytest.raises(ConfigurationError, match=name):
                named(base, name, 5)


async def test_a_gateway_may_start_again_and_keep_private_attributes_of_its_own() -> None:
    class Own(EventsGateway):
        def __init__(self) -> None:
            super().__init__("/own")
            self._connected = self._query_token = self._rooms = {"host": "value"}

        @property
        def values(self) -> list[Any]:
            return [self._connected, self._query_token, self._rooms]

    gateway = Own()
    for _ in range(2):
        async with started(gateway) as client, client.connect("/own", token=client.token("ann")) as socket:
            assert (await socket.call("join", {"room": "tea"}))["success"] is True
    assert gateway.values == [{"host": "value"}] * 3


# Handlers that would never be called


async def handler(data: Any) -> None: ...


@pytest.mark.parametrize("base", [SocketIOGateway, WebSocketGateway, MewGateway, JobsGateway])
def test_two_handlers_of_one_event_in_a_class_are_refused(base: type) -> None:
    members = {"first": on("move")(lambda self, data: None), "second": on("a")(on("move")(lambda self, data: None))}
    with pytest.raises(ConfigurationError, match="first and second both handle 'move'"):
        type("Twice", (base,), members)


@pytest.mark.parametrize("base", [SocketIOGateway, WebSocketGateway])
async def test_a_second_handler_of_an_event_is_refused(base: type) -> None:
    class Once(base):  # type: ignore[misc]
        @on("move")
        async def move(self, data: Any) -> None: ...

    gateway = Once("/once")
    gateway.on("jump")(handler)
    for event, first in (("move", "Once.move"), ("jump", "handler")):
        with pytest.raises(ConfigurationError, match=f"Once: '{event}' has a handler already, .*{first}"):
            gateway.on(event)(handler)
    async with started(gateway):
        with pytest.raises(ConfigurationError, match="'jump' has a handler already"):
            gateway.on("jump")(handler)


async def test_a_handler_of_the_package_may_be_replaced() -> None:
    gateway = SocketIOGateway("/")
    gateway.on("auth/refresh")(handler)
    async with started(gateway):
        assert gateway.functions["auth/refresh"] is handler


@pytest.mark.parametrize(
    ("base", "event", "said"),
    [
        (SocketIOGateway, "é" * 101, r"MEW_EVENT_NAME_BYTES \(200\)"),
        (WebSocketGateway, "x" * 201, r"MEW_EVENT_NAME_BYTES \(200\)"),
        (WebSocketGateway, "ping", "override pong_frame"),
    ],
)
async def test_a_handler_of_an_event_that_cannot_arrive_ends_start_up(base: type, event: str, said: str) -> None:
    gateway = base("/late")
    gateway.on(event)(handler)
    with pytest.raises(ConfigurationError, match=f"{base.__name__}: the handler of .*{said}"):
        async with started(gateway):
            pass
    late = base("/late")
    async with started(late):
        with pytest.raises(ConfigurationError, match=said):
            late.on(event)(handler)


def test_a_handler_of_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="surrogate"):
        on("a\ud83d")


@asynccontextmanager
async def started(gateway: Any) -> AsyncIterator[RealtimeTestClient]:
    """A client of an app with only this gateway."""
    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)) as client:
        yield client
