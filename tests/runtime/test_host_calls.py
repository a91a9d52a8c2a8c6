"""Plain functions (`def`) as handlers, hooks, authenticators and service methods: they run in threads and can reply."""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Broadcaster,
    ChatGateway,
    ConfigurationError,
    Connection,
    EventsGateway,
    Forbidden,
    Handshake,
    Identity,
    JobsGateway,
    Limits,
    MewGateway,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    SyncConnection,
    Unauthorized,
    WebSocketGateway,
    on,
)
from asgi_realtime.realtime import Realtime
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from asgi_realtime.values.ids import UserId
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
GATEWAYS = (SocketIOGateway, WebSocketGateway)


def client_of(*gateways: Any, settings: Settings = SETTINGS) -> RealtimeTestClient:
    return RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=gateways, settings=settings), timeout=10)


def in_a_thread() -> bool:
    return threading.current_thread() is not threading.main_thread()


class Plain:
    """Handlers as written for a threaded server. They annotate `Connection` and `Broadcaster`."""

    @on("echo")
    def echo(self, text: str, connection: Connection) -> None:
        assert in_a_thread()
        connection.send("echo", text)  # type: ignore[unused-coroutine]

    @on("rooms")
    def change_rooms(self, connection: SyncConnection, broadcaster: Broadcaster) -> None:
        connection.join("tea")
        connection.join("milk", parent="tea")
        assert connection.rooms == {"tea", "milk"}
        broadcaster.broadcast_to_room("milk", "in")  # type: ignore[unused-coroutine]
        connection.leave("tea")
        broadcaster.sync.broadcast_to_room("milk", "out")
        connection.send("rooms", sorted(connection.rooms))

    @on("typed")
    def typed(self, connection: SyncConnection, broadcaster: SyncBroadcaster, identity: Identity) -> None:
        assert connection.identity is identity and not connection.closed and not connection.behind
        connection.state = connection.state or {"name": connection.handshake.query.get("name")}
        broadcaster.broadcast_to_user(identity.user_id, "typed", {"gateway": connection.gateway, "id": connection.id})

    @on("leave")
    def end(self, connection: Connection) -> None:
        connection.send("bye")  # type: ignore[unused-coroutine]
        connection.close(1008, "enough")  # type: ignore[unused-coroutine]


@pytest.mark.parametrize("base", GATEWAYS)
async def test_plain_handlers_can_use_the_connection(base: Any) -> None:
    gateway = type("PlainGateway", (Plain, base), {})("/plain")
    async with client_of(gateway) as client, client.connect("/plain", token=client.token("ann")) as ann:
        await ann.send("echo", "hello")
        assert (await ann.expect("echo")).data == "hello"
        await ann.send("rooms", None)
        assert (await ann.expect("rooms")).data == []
        assert [event.name for event in ann.events if event.name in ("in", "out")] == ["in"]
        await ann.send("typed", None)
        assert (await ann.expect("typed")).data == {"gateway": "/plain", "id": ann.connection.id}
        assert ann.connection.state == {"name": None}
        await ann.send("leave", None)
        await ann.expect("bye")
        assert (await ann.expect_closed()) is not None


async def test_a_plain_handler_calls_its_client() -> None:
    gateway = SocketIOGateway("/")

    @gateway.on("delete")
    def delete(connection: SyncConnection) -> Any:
        return connection.call("sure?", 1)

    @gateway.on("impatient")
    def impatient(connection: SyncConnection) -> str:
        try:
            connection.call("no answer", timeout=0.01)
        except TimeoutError:
            return "no answer"
        return "an answer"

    async with client_of(gateway) as client, client.connect("/", token=client.token("ann")) as ann:
        asking = asyncio.create_task(ann.call("delete"))
        question = await ann.expect("sure?")
        await question.acknowledge("yes")
        assert await asking == "yes"
        assert await ann.call("impatient") == "no answer"


async def test_a_plain_handler_of_a_json_gateway_has_no_acknowledgements() -> None:
    gateway = WebSocketGateway("/plain")

    @gateway.on("ask")
    def ask(connection: SyncConnection) -> None:
        try:
            connection.call("question")
        except TypeError as error:
            connection.send("error text", str(error))

    async with client_of(gateway) as client, client.connect("/plain", token=client.token("ann")) as ann:
        await ann.send("ask", None)
        assert "no acknowledgements" in (await ann.expect("error text")).data


# Every kind of callable


class AsyncObject:
    async def __call__(self, text: str, connection: Connection) -> Any:
        assert not in_a_thread()
        await connection.send("said", text)
        return text


class PlainObject:
    def __call__(self, text: str, connection: SyncConnection) -> Any:
        assert in_a_thread()
        connection.send("said", text)
        return text

    def method(self, text: str, connection: SyncConnection) -> Any:
        return self(text, connection)


async def coroutine(text: str, connection: Connection) -> Any:
    assert not in_a_thread()
    await connection.send("said", text)
    return text


def plain(text: str, connection: SyncConnection) -> Any:
    assert in_a_thread()
    connection.send("said", text)
    return text


def with_more(more: str, text: str, connection: SyncConnection, end: str = "") -> Any:
    return plain(text, connection) if (more, end) == ("more", "end") else "wrong"


async def async_with_more(more: str, text: str, connection: Connection, *, end: str = "") -> Any:
    return await coroutine(text, connection) if (more, end) == ("more", "end") else "wrong"


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **options: Any) -> Any:
        return function(*args, **options)

    return wrapper


def checked(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **options: Any) -> Any:
        return await function(*args, **options)

    return wrapper


def threaded(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **options: Any) -> Any:
        return await asyncio.to_thread(function, *args, **options)

    return wrapper


CALLABLES: dict[str, Callable[..., Any]] = {
    "a coroutine function": coroutine,
    "a function": plain,
    "a bound method": PlainObject().method,
    "an object": PlainObject(),
    "an object with an async call": AsyncObject(),
    "a partial": functools.partial(with_more, "more", end="end"),
    "a partial of a coroutine function": functools.partial(async_with_more, "more", end="end"),
    "a decorated function": logged(plain),
    "a decorated coroutine function": logged(coroutine),
    "a coroutine function in another": checked(coroutine),
    "a function in a coroutine function": threaded(plain),
    "a partial of a decorated method": functools.partial(logged(PlainObject().method)),
}


@pytest.mark.parametrize("name", CALLABLES)
@pytest.mark.parametrize("base", GATEWAYS)
async def test_a_handler_is_any_callable(name: str, base: Any) -> None:
    gateway = base("/any")
    gateway.on("say")(CALLABLES[name])
    async with client_of(gateway) as client, client.connect("/any", token=client.token("ann")) as ann:
        if base is SocketIOGateway:
            assert await ann.call("say", "hello") == "hello"
        else:
            await ann.send("say", "hello")
        assert (await ann.expect("said")).data == "hello"


async def test_an_awaitable_returned_by_a_plain_handler_is_awaited() -> None:
    gateway = SocketIOGateway("/")

    async def later(text: str) -> str:
        assert not in_a_thread()
        return text

    @gateway.on("function")
    def function(text: str) -> Awaitable[str]:
        return later(text)

    gateway.on("lambda")(lambda text: later(text))
    gateway.on("plain lambda")(lambda text: f"{text} {in_a_thread()}")
    async with client_of(gateway) as client, client.connect("/", token=client.token("ann")) as ann:
        assert [await ann.call(name, "a") for name in ("function", "lambda", "plain lambda")] == ["a", "a", "a True"]


# Hooks


def hooks_of(log: list[Any]) -> dict[str, Any]:
    members: dict[int, SyncConnection] = {}

    def on_start(self: Any) -> None:
        assert in_a_thread()
        self.broadcaster.sync.broadcast_to_all("no client")
        log.append("start")

    def on_connect(self: Any, connection: Any) -> None:
        assert in_a_thread()
        connection.state = 1
        connection.join("lobby")
        connection.send("welcome", connection.identity.user_id)
        members[connection] = connection

    def on_online(self: Any, connection: Any) -> None:
        assert in_a_thread()
        connection.send("online")

    def on_disconnect(self: Any, connection: Any, reason: str) -> None:
        assert in_a_thread() and connection.state == 1 and connection.closed
        del members[connection]
        log.extend(connection.rooms)

    def on_offline(self: Any, user_id: UserId) -> None:
        assert in_a_thread()
        log.append(f"offline {user_id}")

    return {function.__name__: function for function in (on_start, on_connect, on_online, on_disconnect, on_offline)}


@pytest.mark.parametrize("base", GATEWAYS)
async def test_hooks_may_be_plain(base: Any) -> None:
    log: list[Any] = []
    gateway = type("Hooked", (base,), hooks_of(log))("/hooked")
    async with client_of(gateway) as client:
        assert log == ["start"]
        async with client.connect("/hooked", token=client.token("ann")) as ann:
            assert (await ann.expect("welcome")).data == "ann"
            await ann.expect("online")
        await until(lambda: len(log) == 3)
    assert log[1:] in (["lobby", "offline ann"], ["offline ann", "lobby"])  # at once, in two threads


async def test_a_plain_on_connect_refuses() -> None:
    class Closed(SocketIOGateway):
        def on_connect(self, connection: SyncConnection) -> None:  # type: ignore[override]
            raise Forbidden("not today")

    async with client_of(Closed("/")) as client:
        with pytest.raises(ConnectionRefused, match="not today"):
            async with client.connect("/", token=client.token("ann")):
                pass


async def test_a_plain_on_start_stops_the_server() -> None:
    class Missing(SocketIOGateway):
        def on_start(self) -> None:  # type: ignore[override]
            raise RuntimeError("no database")

    with pytest.raises(RuntimeError, match="no database"):
        async with client_of(Missing("/")):
            pass


async def test_a_plain_method_may_return_rooms() -> None:
    class Rooms(SocketIOGateway):
        def rooms_of(self, identity: Identity) -> dict[str, None]:  # type: ignore[override]
            assert in_a_thread()
            return {f"room of {identity.user_id}": None}

        async def on_connect(self, connection: Connection) -> None:
            await self.enter_rooms(connection)

    async with client_of(Rooms("/")) as client, client.connect("/", token=client.token("ann")) as ann:
        assert ann.rooms == {"room of ann"}


async def test_a_plain_subclass_of_a_plain_hook_calls_it() -> None:
    class Base(SocketIOGateway):
        def on_connect(self, connection: SyncConnection) -> None:  # type: ignore[override]
            connection.send("base")

    class Derived(Base):
        def on_connect(self, connection: SyncConnection) -> None:  # type: ignore[override]
            super().on_connect(connection)
            connection.send("derived")

    async with client_of(Derived("/")) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.expect("base")
        await ann.expect("derived")


@pytest.mark.parametrize("kind", ["functions", "coroutines", "objects", "partials", "lambdas"])
async def test_the_functions_passed_to_the_events_gateway_may_be_plain_or_async(kind: str) -> None:
    log: list[str] = []

    def connected(connection: Any) -> None:
        connection.send("hello")
        log.append("connected")

    async def connected_async(connection: Connection) -> None:
        await connection.send("hello")
        log.append("connected")

    class Connected:
        def __call__(self, connection: Any) -> None:
            connected(connection)

    async def note(text: str) -> None:
        log.append(text)

    options: dict[str, dict[str, Any]] = {
        "functions": {"connected": connected},
        "coroutines": {"connected": connected_async, "disconnected": functools.partial(note)},
        "objects": {"connected": Connected()},
        "partials": {"connected": functools.partial(connected)},
        "lambdas": {"connected": lambda connection: connected_async(connection)},
    }
    gateway = EventsGateway(
        may_join=lambda identity, room: room != "closed",
        content_filter=lambda identity, content: "bad" not in content,
        initialised=lambda: note("initialised"),
        **options[kind] | {"disconnected": lambda connection, reason: note("disconnected")},
    )
    async with client_of(gateway) as client:
        async with client.connect("/events", token=client.token("ann")) as ann:
            await ann.expect("hello")
            assert (await ann.call("join", {"room": "open"}))["success"]
            assert not (await ann.call("join", {"room": "closed"}))["success"]
            assert not (await ann.call("message", {"content": "bad words"}))["success"]
        await until(lambda: len(log) == 3)
    assert log == ["initialised", "connected", "disconnected"]


# Authenticators


def authenticate(handshake: Handshake) -> Identity:
    assert in_a_thread()
    if handshake.query.get("name") == "unknown":
        raise Unauthorized
    return Identity(user_id=UserId("ann"))


async def who_async(handshake: Handshake) -> Identity:
    assert not in_a_thread()
    return Identity(user_id=UserId("ann"))


class Who:
    def __call__(self, handshake: Handshake) -> Identity:
        return authenticate(handshake)

    async def asynchronous(self, handshake: Handshake) -> Identity:
        return await who_async(handshake)


class WhoAsync:
    async def __call__(self, handshake: Handshake) -> Identity:
        return await who_async(handshake)


AUTHENTICATORS: dict[str, Any] = {
    "a function": authenticate,
    "a coroutine function": who_async,
    "an object": Who(),
    "an object with an async call": WhoAsync(),
    "a method": Who().asynchronous,
    "a partial": functools.partial(authenticate),
    "a lambda": lambda handshake: authenticate(handshake),
    "a lambda of a coroutine": lambda handshake: who_async(handshake),
    "a decorated coroutine function": logged(who_async),
}


@pytest.mark.parametrize("name", AUTHENTICATORS)
@pytest.mark.parametrize("base", GATEWAYS)
async def test_an_authenticator_is_any_callable(name: str, base: Any) -> None:
    async with client_of(base("/who", authenticator=AUTHENTICATORS[name])) as client:
        async with client.connect("/who", token="any") as ann:
            assert ann.connection.identity.user_id == "ann"


@pytest.mark.parametrize("wrong", [None, False, {"user_id": "ann"}, "ann", 5, ("ann",), Identity])
@pytest.mark.parametrize("asynchronous", [True, False])
@pytest.mark.parametrize("base", GATEWAYS)
async def test_an_authenticator_that_does_not_return_an_identity_refuses_the_client(
    wrong: Any, asynchronous: bool, base: Any, caplog: pytest.LogCaptureFixture
) -> None:
    async def later(handshake: Handshake) -> Any:
        return wrong

    gateway = base("/who", authenticator=later if asynchronous else lambda handshake: wrong)
    async with client_of(gateway) as client:
        with pytest.raises(ConnectionRefused) as refused:
            async with client.connect("/who", token="any"):
                pass
    assert "internal error" in str(refused.value)
    [record] = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is None
    expected = "None" if wrong is None else type(wrong).__name__
    assert expected in record.getMessage() and "must return an Identity" in record.getMessage()


# Questions, and threads that wait


@pytest.mark.parametrize("handler", ["plain", "async"])
@pytest.mark.parametrize("question", ["plain", "async", "lambda"])
async def test_join_checks_work_with_a_single_host_thread(handler: str, question: str) -> None:
    gateway = SocketIOGateway("/")

    async def later(answer: Any) -> Any:
        assert not in_a_thread()
        return answer

    def ask(answer: Any) -> Any:
        def ask_plain() -> Any:
            assert in_a_thread()
            return answer

        return {
            "plain": ask_plain,
            "async": functools.partial(later, answer),
            "lambda": lambda: later(answer),
        }[question]

    if handler == "plain":

        @gateway.on("join")
        def join(room: str, connection: SyncConnection) -> list[str]:
            connection.join(room, allowed=ask(room != "closed"), latest="price", known=ask(7))
            return sorted(connection.rooms)
    else:

        @gateway.on("join")
        async def join_async(room: str, connection: Connection) -> list[str]:
            await connection.join(room, allowed=ask(room != "closed"), latest="price", known=ask(7))
            return sorted(connection.rooms)

    async with client_of(gateway, settings=Settings(jwt_secret=SETTINGS.jwt_secret, host_threads=1)) as client:
        async with client.connect("/", token=client.token("ann")) as ann:
            assert await ann.call("join", "tea") == ["tea"]
            assert (await ann.expect("price")).data == 7
            assert (await ann.call("join", "closed"))["code"] == "FORBIDDEN"
            assert ann.rooms == {"tea"}


async def test_a_join_check_that_hangs_releases_its_thread() -> None:
    gateway = SocketIOGateway("/", limits=Limits(handler_timeout=0.1))
    forever = asyncio.Event()

    @gateway.on("join")
    def join(connection: SyncConnection) -> None:
        connection.join("tea", allowed=forever.wait)

    @gateway.on("echo")
    def echo(text: str) -> str:
        return text

    async with client_of(gateway, settings=Settings(jwt_secret=SETTINGS.jwt_secret, host_threads=1)) as client:
        async with client.connect("/", token=client.token("ann")) as ann:
            assert (await ann.call("join"))["code"] == "INTERNAL"

            async def answers() -> bool:
                return bool(await ann.call("echo", "still here") == "still here")

            while not await answers():
                pass


async def test_a_client_that_disconnects_releases_the_thread_that_calls_it() -> None:
    gateway = SocketIOGateway("/")
    ended = threading.Event()

    @gateway.on("ask")
    def ask(connection: SyncConnection) -> None:
        with pytest.raises(ConnectionError):
            connection.call("question", timeout=1000)
        connection.send("not read")
        with pytest.raises(ConnectionError):
            connection.call("question", timeout=1000)
        ended.set()

    async with client_of(gateway) as client:
        async with client.connect("/", token=client.token("ann")) as ann:
            await ann.send("ask")
            await ann.expect("question")
        assert await asyncio.to_thread(ended.wait, 10)


async def test_a_sync_connection_equals_its_connection() -> None:
    gateway = SocketIOGateway("/")
    kept: list[SyncConnection] = []

    @gateway.on("keep")
    def keep(connection: SyncConnection) -> None:
        kept.append(connection)

    async with client_of(gateway) as client, client.connect("/", token=client.token("ann")) as ann:
        await ann.call("keep")
        await ann.call("keep")
        first, second = kept
        assert first == second == ann.connection == first and first != object() and first != 1
        assert {ann.connection: 1}[first] == 1  # type: ignore[index]
        assert repr(first) == f"<SyncConnection {first.id} of 'ann' on />"
        with pytest.raises(RuntimeError, match="await"):
            first.send("on the loop's own thread")
        await asyncio.to_thread(first.send, "later", "from a thread of the host's own")
        assert (await ann.expect("later")).data == "from a thread of the host's own"
    with pytest.raises(RuntimeError):
        await asyncio.to_thread(first.send, "after the end")


async def test_a_plain_hook_makes_a_connection_its_users_only_one() -> None:
    class OneDevice(SocketIOGateway):
        def on_connect(self, connection: SyncConnection) -> None:  # type: ignore[override]
            self.broadcaster.sync.take_over(connection, "replaced", code=1008)

    async with client_of(OneDevice("/")) as client:
        async with client.connect("/", token=client.token("ann")) as first:
            async with client.connect("/", token=client.token("ann")) as second:
                await first.expect("replaced")
                await first.expect_closed()
                await client.broadcaster.broadcast_to_user("ann", "still here")
                await second.expect("still here")


# Refused at start-up


class Nothing:
    """A service without methods."""


def generator(text: str) -> Any:
    yield text


async def async_generator(text: str) -> Any:
    yield text


def gateway_with(function: Callable[..., Any]) -> SocketIOGateway:
    gateway = SocketIOGateway("/")
    gateway.on("event")(function)
    return gateway


def hooked(base: Any = SocketIOGateway, **functions: Any) -> Any:
    return type("Hooked", (base,), functions)("/hooked")


async def waits(connection: SyncConnection) -> None: ...


async def broadcasts(broadcaster: SyncBroadcaster) -> None: ...


class CallsSuper(SocketIOGateway):
    def on_connect(self, connection: SyncConnection) -> None:  # type: ignore[override]
        super().on_connect(connection)  # type: ignore[arg-type, unused-coroutine]


async def chooses(self: Any, publication: Any, recipients: Any) -> Any: ...


async def names_origins(self: Any, settings: Settings) -> Any: ...


async def yields(self: Any, connection: Connection) -> Any:
    yield


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: gateway_with(waits), r"'connection': SyncConnection .*Connection, or write `def`"),
        (lambda: gateway_with(broadcasts), r"'broadcaster': SyncBroadcaster .*Broadcaster, or write `def`"),
        (lambda: gateway_with(generator), "generator"),
        (lambda: gateway_with(async_generator), "generator"),
        (lambda: gateway_with(functools.partial(async_generator)), "generator"),
        (lambda: hooked(on_connect=yields), r"Hooked.on_connect is a generator"),
        (lambda: hooked(on_connect=lambda self: None), r"Hooked.on_connect is called with \(connection\)"),
        (lambda: hooked(on_disconnect=lambda self, connection: None), r"called with \(connection, reason\)"),
        (lambda: hooked(WebSocketGateway, on_start=lambda self, app: None), r"called with \(\): .*'app'"),
        (lambda: hooked(on_offline="no function"), r"Hooked.on_offline must be a function"),
        (lambda: hooked(recipient_filter=chooses), r"chooses .*`recipient_filter` must be a plain `def`"),
        (lambda: hooked(EventsGateway, extra_origins=names_origins), "`extra_origins` must be a plain `def`"),
        (lambda: hooked(WebSocketGateway, accepted_frame=waits), "`accepted_frame` must be a plain `def`"),
        (lambda: CallsSuper("/"), r"CallsSuper.on_connect calls super\(\).*`async def on_connect`"),
        (lambda: SocketIOGateway("/", authenticator=lambda: None), r"authenticator is called with \(handshake\)"),  # type: ignore[arg-type, misc]
        (lambda: WebSocketGateway("/x", authenticator="me"), "authenticator must be a function"),  # type: ignore[arg-type]
        (lambda: EventsGateway(connected=lambda: None), r"connected is called with \(connection\)"),
        (lambda: EventsGateway(may_join=generator), "may_join is a generator"),  # type: ignore[arg-type]
        (lambda: MewGateway(service=Nothing()), "Nothing.rooms_of is missing"),  # type: ignore[arg-type]
        (lambda: ChatGateway(service=Nothing()), "Nothing.groups_of is missing"),  # type: ignore[arg-type]
        (lambda: JobsGateway(service=Nothing()), "Nothing.may_join is missing"),  # type: ignore[arg-type]
    ],
)
def test_handlers_that_cannot_work_are_refused_at_start_up(make: Callable[[], Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        Realtime(gateways=[make()], settings=SETTINGS)
