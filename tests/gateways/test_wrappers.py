"""Wrappers and guards of a gateway: order, what they see, what they may answer, and what is refused at start-up."""

import asyncio
import functools
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Annotated, Any, TypedDict

import msgspec
import pytest
import websockets
from starlette.applications import Starlette

from asgi_realtime import (
    CallNext,
    ChatGateway,
    ChatMessage,
    ClientEvent,
    ConfigurationError,
    Connection,
    Depends,
    Disconnect,
    EventsGateway,
    Forbidden,
    Identity,
    InvalidMessage,
    JobsGateway,
    Limits,
    MessageCreate,
    MewBroadcaster,
    MewGateway,
    RealtimeMiddleware,
    SavedMessage,
    Settings,
    SocketIOGateway,
    SyncConnection,
    UserRooms,
    WebSocketGateway,
    create_token,
    on,
)
from asgi_realtime.testing import RealtimeTestClient
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.servers import Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)


class Order(TypedDict):
    id: str
    item: str


class Shop(SocketIOGateway):
    """A gateway whose wrappers note what happens."""

    def __init__(self, namespace: str = "/", *, limits: Limits | None = None) -> None:
        super().__init__(namespace, limits=limits)
        self.log: list[str] = []

    @on("say")
    async def say(self, text: str, connection: Connection) -> str:
        self.log.append(f"said {text}")
        return text.upper()

    @on("order", once="id")
    async def order(self, order: Order) -> str:
        self.log.append(f"ordered {order['item']}")
        return order["item"]

    @on("wait")
    async def wait(self) -> None:
        await asyncio.Event().wait()

    def noting(self, name: str) -> Callable[[ClientEvent, CallNext], Coroutine[Any, Any, Any]]:
        async def wrapper(event: ClientEvent, call_next: CallNext) -> Any:
            self.log.append(f"{name} {event.name} {event.payload}")
            try:
                return await call_next(event)
            except BaseException as error:
                self.log.append(f"{name} {type(error).__name__}")
                raise
            finally:
                self.log.append(f"{name} ends")

        return wrapper


def client_of(*gateways: Any, metrics: Any = None) -> RealtimeTestClient:
    return RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS, metrics=metrics))


async def test_wrappers_are_called_in_the_order_in_which_they_were_given() -> None:
    shop = Shop()
    shop.use(shop.noting("first"))

    @shop.use
    async def second(event: ClientEvent, call_next: CallNext) -> Any:
        shop.log.append(f"second for {event.connection.identity.user_id}")
        return await call_next(event)

    assert second.__name__ == "second"
    async with client_of(shop) as client, client.connect(token=client.token("ann")) as ann:
        assert await ann.call("say", "hello") == "HELLO"
        assert shop.log == ["first say hello", "second for ann", "said hello", "first ends"]


async def test_a_subclass_uses_its_own_methods() -> None:
    class Subclass(Shop):
        def __init__(self) -> None:
            super().__init__()
            self.use(self.log_event)
            self.use(self.only_ann)

        async def log_event(self, event: ClientEvent, call_next: CallNext) -> Any:
            self.log.append(event.name)
            return await call_next(event)

        async def only_ann(self, event: ClientEvent) -> None:
            if event.connection.identity.user_id != "ann":
                raise Forbidden("only ann")

    shop = Subclass()
    async with client_of(shop) as client, client.connect(token=client.token("ann")) as ann:
        assert await ann.call("say", "a") == "A"
        async with client.connect(token=client.token("ben")) as ben:
            assert await ben.call("say", "b") == {"success": False, "code": "FORBIDDEN", "message": "only ann"}
    assert shop.log == ["say", "said a", "say"]


async def test_a_plain_guard_runs_in_a_thread_and_refuses() -> None:
    shop = Shop()
    found: list[Any] = []

    def guard(event: ClientEvent) -> None:
        found.extend((type(event.connection), threading.current_thread() is threading.main_thread()))
        if event.payload == "secret":
            raise Forbidden("not this")

    shop.use(guard)
    shop.use(shop.noting("behind"))
    async with client_of(shop) as client, client.connect(token=client.token("ann")) as ann:
        assert (await ann.call("say", "secret"))["code"] == "FORBIDDEN"
        assert shop.log == []
        assert await ann.call("say", "tea") == "TEA"
    assert found[:2] == [SyncConnection, False]


async def test_a_guard_that_returns_something_lets_nothing_through(caplog: pytest.LogCaptureFixture) -> None:
    shop = Shop()
    shop.use(lambda event: event.payload != "no")
    async with client_of(shop) as client, client.connect(token=client.token("ann")) as ann:
        for text in ("no", "yes"):
            assert (await ann.call("say", text))["code"] == "INTERNAL"
    assert shop.log == []
    assert "returned False; raise Forbidden() to refuse the event, and return nothing" in caplog.text


async def test_a_wrapper_replaces_the_payload_and_the_answer_and_may_not_call_the_handler() -> None:
    shop = Shop()

    @shop.use
    async def replace(event: ClientEvent, call_next: CallNext) -> Any:
        if event.payload == "cached":
            return "from the cache"
        if event.payload == "bye":
            raise Disconnect(1008, "bye")
        answer = await call_next(msgspec.structs.replace(event, payloads=[f"{event.payload}!"]))
        return {"answer": answer}

    async with client_of(shop) as client, client.connect(token=client.token("ann")) as ann:
        assert await ann.call("say", "hello") == {"answer": "HELLO!"}
        assert await ann.call("say", "cached") == "from the cache"
        assert shop.log == ["said hello!"]
        await ann.send("say", "bye")
        assert (await ann.expect_closed()).code == 1008


async def test_wrappers_see_a_refusal_and_the_end_of_the_time() -> None:
    shop = Shop(limits=Limits(handler_timeout=0.05))
    shop.use(shop.noting("log"))
    async with client_of(shop) as client, client.connect(token=client.token("ann")) as ann:
        assert (await ann.call("say", 1))["code"] == "INVALID_MESSAGE"
        assert shop.log == ["log say 1", "log InvalidMessage", "log ends"]
        shop.log.clear()
        assert (await ann.call("wait"))["code"] == "INTERNAL"
        assert shop.log == ["log wait None", "log CancelledError", "log ends"]


@pytest.mark.parametrize("gateway", [Shop("/shop"), WebSocketGateway("/ws")])
async def test_events_that_do_not_fit_are_still_attempts(gateway: SocketIOGateway | WebSocketGateway) -> None:
    limited = type(gateway)(gateway.name, limits=Limits(attempt_burst=2, attempt_rate=0.001))
    metrics = RecordedMetrics()

    @limited.on("number")
    async def number(number: int) -> None:
        if number == 1:
            raise InvalidMessage("not this one")

    @limited.use
    async def wrapper(event: ClientEvent, call_next: CallNext) -> Any:
        return await call_next(event)

    async with client_of(limited, metrics=metrics) as client:
        async with client.connect(limited.name, token=client.token("ann")) as ann:
            for _ in range(5):
                await ann.send("number", 1)  # refused by the handler
            await ann.expect_nothing("closed")
            assert ann.closed is None
            for _ in range(3):
                await ann.send("number", "x")
            assert (await ann.expect_closed()).code == 1008


async def test_a_copy_of_an_event_does_not_come_to_the_wrappers() -> None:
    shop = Shop()
    shop.use(shop.noting("log"))

    @shop.use
    async def add(event: ClientEvent, call_next: CallNext) -> Any:
        return f"{await call_next(event)} for {event.connection.identity.user_id}"

    async with client_of(shop) as client, client.connect(token=client.token("ann")) as ann:
        for _ in range(2):
            assert await ann.call("order", {"id": "1", "item": "tea"}) == "tea for ann"
        assert shop.log == ["log order {'id': '1', 'item': 'tea'}", "ordered tea", "log ends"]


async def test_a_json_gateway_answers_once_with_what_the_wrapper_returns() -> None:
    gateway = WebSocketGateway("/ws")

    @gateway.on("order", once="id")
    async def order(order: Order) -> str:
        return order["item"]

    @gateway.use
    async def add(event: ClientEvent, call_next: CallNext) -> Any:
        return f"{await call_next(event)}!"

    async with client_of(gateway) as client, client.connect("/ws", token=client.token("ann")) as ann:
        for _ in range(2):
            await ann.send("order", {"id": "1", "item": "tea"})
            assert (await ann.expect("ack")).data == {"id": "1", "result": "tea!"}


async def test_a_burst_of_plain_events_comes_to_the_wrappers_in_order(serve: Serve) -> None:
    gateway = WebSocketGateway("/ws")
    found: list[str] = []

    @gateway.on("say")
    async def say(text: str, connection: Connection) -> None:
        found.append(f"said {text}")

    @gateway.on("count")
    async def count(length: Annotated[int, Depends(lambda: len(found))]) -> None:
        found.append(f"counted {length}")

    @gateway.on("end")
    async def end(connection: Connection) -> None:
        await connection.close()

    @gateway.use
    async def wrapper(event: ClientEvent, call_next: CallNext) -> Any:
        found.append(f"{event.name} {event.payloads}")
        if event.payload == "3":
            await asyncio.sleep(0)  # a wrapper that waits
        await call_next(event)

    server = await serve(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS), "uvicorn")
    token = create_token("ann", SETTINGS)
    async with websockets.connect(f"{server.websocket_url}/ws?token={token}") as client:
        await client.recv()
        for number in range(6):
            await client.send(f'{{"type":"say","data":"{number}"}}')
        await client.send('{"type":"count"}')
        await client.send('{"type":"end"}')
        await client.wait_closed()
    said = [line for number in range(6) for line in (f"say ['{number}']", f"said {number}")]
    assert found == [*said, "count []", "counted 13", "end []"]


async def test_dependencies_are_called_within_the_wrappers() -> None:
    gateway, log = Shop(), list[str]()
    gateway.log = log

    def session() -> Iterator[str]:
        log.append("begin")
        yield "session"
        log.append("commit")

    @gateway.on("save")
    async def save(session: Annotated[str, Depends(session)]) -> str:
        return session

    gateway.use(gateway.noting("log"))
    async with client_of(gateway) as client, client.connect(token=client.token("ann")) as ann:
        assert await ann.call("save") == "session"
    assert log == ["log save None", "begin", "commit", "log ends"]


class Dynamic(SocketIOGateway):
    def dispatch(self, connection: Connection, event: str, sent: Sequence[Any]) -> Coroutine[Any, Any, str]:
        async def handle() -> str:
            return f"dispatched {event} {list(sent)}"

        return handle()


async def test_what_a_dispatch_of_the_host_handles_comes_to_the_wrappers_and_unknown_events_do_not() -> None:
    for gateway, answer in ((Dynamic("/"), "dispatched any [1]!"), (Shop(), None)):
        seen: list[str] = []

        async def wrapper(event: ClientEvent, call_next: CallNext, seen: list[str] = seen) -> Any:
            seen.append(event.name)
            return f"{await call_next(event)}!"

        gateway.use(wrapper)
        async with client_of(gateway) as client, client.connect(token=client.token("ann")) as ann:
            found = await ann.call("any", 1)
        if answer is not None:
            assert (found, seen) == (answer, ["any"])
        else:
            assert (found["code"], seen) == ("INVALID_MESSAGE", [])


class Host:
    """An app that has no rooms, no groups and no messages yet."""

    async def rooms_of(self, identity: Identity) -> UserRooms:
        return UserRooms()

    async def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> None:
        raise AssertionError("every event is refused before")

    async def groups_of(self, identity: Identity) -> list[str]:
        return []

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        raise AssertionError("every event is refused before")

    async def mark_read(self, identity: Identity, chat_id: str) -> None:
        raise AssertionError("every event is refused before")


SYSTEMS: list[Callable[[], SocketIOGateway | WebSocketGateway]] = [
    lambda: MewGateway(service=Host()),
    EventsGateway,
    lambda: ChatGateway(service=Host()),
    JobsGateway,
]


@pytest.mark.parametrize("make", SYSTEMS)
async def test_every_event_of_a_system_is_seen(make: Callable[[], SocketIOGateway | WebSocketGateway]) -> None:
    gateway = make()
    seen: list[str] = []

    @gateway.use
    async def wrapper(event: ClientEvent, call_next: CallNext) -> Any:
        seen.append(event.name)
        raise Forbidden("not now")

    async with client_of(gateway) as client, client.connect(gateway.name, token=client.token("ann")) as ann:
        for event in gateway.functions:
            await ann.send(event)
        await client.settle()
    assert len(seen) > 1
    assert seen == list(gateway.functions)


def test_what_is_neither_a_wrapper_nor_a_guard_is_refused() -> None:
    def plain_wrapper(event: ClientEvent, call_next: CallNext) -> None: ...
    def answers(event: ClientEvent) -> bool:
        return True

    async def three(event: ClientEvent, call_next: CallNext, more: int) -> None: ...
    async def none() -> None: ...
    async def keyword(event: ClientEvent, *, call_next: CallNext) -> None: ...
    async def dependent(event: ClientEvent, service: str = Depends(str)) -> None: ...
    async def generator(event: ClientEvent, call_next: CallNext) -> Any:
        yield 1

    class Wrapper:
        async def __call__(self, event: ClientEvent, call_next: CallNext) -> Any:
            return await call_next(event)

    shop = Shop()
    for function, message in (
        (plain_wrapper, r"Shop\.use\(.*plain_wrapper\): a wrapper is `async def \(event, call_next\)`"),
        *((each, "a wrapper is `async def") for each in (three, none, keyword)),
        (answers, r"its result \(bool\) would not be used; raise Forbidden\(\)"),
        (dependent, "the parameter 'service' is a dependency"),
        (generator, "is a generator"),
        (Wrapper, "is the class Wrapper; pass an instance"),
        ("log", "must be a function"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            shop.use(function)  # type: ignore[type-var]
    shop.use(Wrapper())
    shop.use(functools.partial(three, more=1))


def test_a_gateway_that_is_mounted_takes_no_more_wrappers() -> None:
    shop = Shop()
    _ = RealtimeMiddleware(Starlette(), gateways=[shop], settings=SETTINGS).realtime
    with pytest.raises(ConfigurationError, match=r"Shop\.use\(\) comes too late: call it before"):
        shop.use(shop.noting("late"))


def test_a_subclass_may_not_replace_use() -> None:
    with pytest.raises(ConfigurationError, match="'use' would replace a part of the gateway"):

        class Board(SocketIOGateway):
            async def use(self) -> None: ...  # type: ignore[override]
