"""Dependencies of handlers and hooks: what fills them, where they run, and how often they are called.

Annotations are no text here, since functions within tests have them.
"""

import dataclasses
import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Annotated, Any

import fastapi
import pytest
from starlette.requests import HTTPConnection
from typing_extensions import TypeAliasType

from asgi_realtime import (
    Broadcaster,
    Connection,
    Depends,
    Forbidden,
    Identity,
    InvalidMessage,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SyncBroadcaster,
    SyncConnection,
    WebSocketGateway,
)
from asgi_realtime.gateways.declarations import declarations
from asgi_realtime.handlers.event_handlers import bind_handler
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from tests.support.new_python import printed_by
from tests.support.recording import World

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
CONNECTION = World().connection("ann")[0].public
BROADCASTER: Any = object()
MARKERS = [Depends, fastapi.Depends]


async def handled(function: Callable[..., Any], *sent: Any) -> Any:
    return await bind_handler("event", function, BROADCASTER)(CONNECTION, sent)


def counter() -> Callable[[], Awaitable[int]]:
    calls = iter(range(1, 100))

    async def count() -> int:
        return next(calls)

    return count


@pytest.mark.parametrize("marker", MARKERS)
async def test_a_dependency_fills_a_parameter_in_each_form(marker: Callable[..., Any]) -> None:
    async def who(identity: Identity) -> str:
        return f"user {identity.user_id}"

    Who = TypeAliasType("Who", Annotated[str, marker(who)])

    async def annotated(text: str, user: Annotated[str, marker(who)]) -> list[str]:
        return [text, user]

    async def alias(user: Who, text: str) -> list[str]:
        return [text, user]

    async def default(text: str, user: str = marker(who)) -> list[str]:
        return [text, user]

    async def with_a_default(text: str, user: Annotated[str, marker(who)] = "a guest", times: int = 2) -> list[str]:
        return [text, user] * (times - 1)

    async def rest(user: Annotated[str, marker(who)], *texts: str) -> list[str]:
        return [*texts, user]

    for handler in (annotated, alias, default, with_a_default, rest):
        assert await handled(handler, "a") == ["a", "user ann"], handler.__name__
        with pytest.raises(InvalidMessage):
            await handled(handler, 1)
    for handler in (annotated, alias, default, with_a_default):
        with pytest.raises(InvalidMessage, match="missing"):
            await handled(handler)


class Session:
    def __init__(self, identity: Identity) -> None:
        self.owner = identity.user_id


@dataclasses.dataclass
class Repository:
    session: Annotated[Session, fastapi.Depends()]
    name: Annotated[str, Depends(lambda: "things")]


class Prefix:
    def __init__(self, prefix: str) -> None:
        self.prefix = prefix

    async def __call__(self, identity: Identity) -> str:
        return self.prefix + identity.user_id

    def plain(self, identity: Identity, /, *, connection: SyncConnection) -> str:
        return f"{self.prefix}{identity.user_id} {type(connection).__name__}"


async def test_classes_objects_methods_partials_and_lambdas_are_dependencies() -> None:
    async def joined(first: str, connection: Connection, *, second: str) -> str:
        return first + second

    def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*arguments: Any, **named: Any) -> Any:
            return function(*arguments, **named)

        return call

    async def handler(
        repository: Annotated[Repository, fastapi.Depends()],
        called: Annotated[str, Depends(Prefix("a "))],
        method: Annotated[str, Depends(Prefix("b ").plain)],
        partial: Annotated[str, Depends(functools.partial(joined, "x", second="y"))],
        coroutine: Annotated[int, Depends(lambda: counter()())],
        wrapped: Annotated[str, Depends(decorated(Prefix("c ").__call__))],
    ) -> list[Any]:
        return [repository.session.owner, repository.name, called, method, partial, coroutine, wrapped]

    # Without a gateway nothing converts the connection of the plain method.
    assert await handled(handler) == ["ann", "things", "a ann", "b ann Connection", "xy", 1, "c ann"]


async def test_a_dependency_is_called_once_for_each_event_and_the_same_one_for_all() -> None:
    count = counter()

    async def doubled(number: Annotated[int, Depends(count)]) -> int:
        return number * 2

    async def handler(
        first: Annotated[int, Depends(count)],
        second: Annotated[int, fastapi.Depends(count)],
        twice: Annotated[int, Depends(doubled)],
        fresh: Annotated[int, Depends(count, use_cache=False)],
        other: Annotated[int, fastapi.Depends(count, use_cache=False)],
    ) -> list[int]:
        return [first, second, twice, fresh, other]

    begin = bind_handler("event", handler, BROADCASTER)
    assert await begin(CONNECTION, []) == [1, 1, 2, 2, 3]
    assert await begin(CONNECTION, []) == [4, 4, 8, 5, 6]


async def test_plain_dependencies_run_in_threads_and_get_what_threads_may_use() -> None:
    def plain(connection: SyncConnection, broadcaster: SyncBroadcaster) -> list[str]:
        return [type(connection).__name__, type(broadcaster).__name__, threading.current_thread().name]

    def yielding(connection: Connection) -> Iterator[str]:
        yield f"{type(connection).__name__} in {threading.current_thread().name}"

    async def asynchronous(connection: Connection, broadcaster: Broadcaster) -> list[str]:
        return [type(connection).__name__, type(broadcaster).__name__]

    gateway = SocketIOGateway("/")

    @gateway.on("kinds")
    async def kinds(
        plain: Annotated[list[str], Depends(plain)],
        yielding: Annotated[str, Depends(yielding)],
        asynchronous: Annotated[list[str], Depends(asynchronous)],
    ) -> list[Any]:
        return [plain, yielding, asynchronous]

    class Kinds:
        def __init__(
            self,
            connection: Connection,
            in_threads: SyncConnection | None,
            broadcaster: Broadcaster,
        ) -> None:
            self.names = [type(each).__name__ for each in (connection, in_threads, broadcaster)]
            self.thread = threading.current_thread().name

    async def same(connection: Connection) -> Connection:
        return connection

    def given(connection: Annotated[Connection, Depends(same)]) -> str:
        return type(connection).__name__

    @gateway.on("classes")
    async def classes(made: Annotated[Kinds, Depends()], given: Annotated[str, Depends(given)]) -> list[str]:
        return [*made.names, made.thread, given]

    @gateway.on("in a thread")
    def in_a_thread(connection: SyncConnection, found: Annotated[list[str], Depends(asynchronous)]) -> list[Any]:
        return [type(connection).__name__, found]

    async with RealtimeTestClient(RealtimeMiddleware(fastapi.FastAPI(), gateways=[gateway], settings=SETTINGS)) as app:
        async with app.connect(token=app.token("ann")) as ann:
            (connection, broadcaster, thread), yielded, on_loop = await ann.call("kinds")
            assert (connection, broadcaster) == ("SyncConnection", "SyncBroadcaster")
            assert thread.startswith("asgi_realtime host")
            assert yielded.startswith("SyncConnection in asgi_realtime host")
            assert on_loop == ["Connection", "Broadcaster"]
            *names, thread, given_name = await ann.call("classes")
            assert names == ["Connection", "SyncConnection", "Broadcaster"], "an object is used by the async handler"
            assert thread.startswith("asgi_realtime host")
            assert given_name == "Connection", "what a dependency returns is not converted"
            assert await ann.call("in a thread") == ["SyncConnection", ["Connection", "Broadcaster"]]


def app_of(*gateways: Any) -> RealtimeMiddleware:
    return RealtimeMiddleware(fastapi.FastAPI(), gateways=gateways, settings=SETTINGS)


async def test_hooks_of_a_connection_take_dependencies() -> None:
    log: list[str] = []

    async def session(identity: Identity) -> AsyncIterator[str]:
        log.append("begin")
        yield f"session of {identity.user_id}"
        log.append("end")

    def browser(conn: HTTPConnection) -> str:
        return conn.headers["user-agent"] + conn.cookies["a"]

    class Gateway(SocketIOGateway):
        async def on_connect(
            self, connection: Connection, session: str = Depends(session), browser: str = Depends(browser)
        ) -> None:
            log.append(f"{session}, {browser}")
            if connection.identity.user_id == "eve":
                raise Forbidden("not you")

        def on_disconnect(  # type: ignore[override]
            self, connection: Connection, session: Annotated[str, fastapi.Depends(session)], reason: str
        ) -> None:
            log.append(f"{type(connection).__name__} {session} {reason}")

    headers = {"user-agent": "test", "cookie": "a=1"}
    async with RealtimeTestClient(app_of(Gateway("/"))) as app:
        async with app.connect(token=app.token("ann"), headers=headers):
            assert log == ["begin", "session of ann, test1", "end"]
            log.clear()
        await app.settle()
        assert log == ["begin", "SyncConnection session of ann client disconnect", "end"]
        with pytest.raises(ConnectionRefused, match="not you"):
            async with app.connect(token=app.token("eve"), headers=headers):
                pass


def test_a_dependency_is_no_payload() -> None:
    class Gateway(WebSocketGateway):
        """Has one event."""

    gateway = Gateway("/ws")

    @gateway.on("say", once="id")
    async def say(count: Annotated[int, Depends(counter())], text: str, id: str, n: int = Depends(counter())) -> None:
        """Says it."""

    (said,) = [each for each in declarations(gateway) if each.name == "say"]
    assert said.payload == tuple[str, str]
    _ = app_of(gateway).realtime  # `id` is found as the second argument of the event


def test_neither_fastapi_nor_litestar_is_imported() -> None:
    program = """
import sys
from typing import Annotated
from asgi_realtime import Depends, RealtimeMiddleware, Settings, SocketIOGateway
gateway = SocketIOGateway("/")
@gateway.on("say")
async def say(text: str, count: Annotated[int, Depends(lambda: 1)]) -> None: ...
async def app(scope, receive, send): ...
RealtimeMiddleware(app, gateways=[gateway], settings=Settings(jwt_secret="s" * 40)).realtime
print(sorted(name for name in ("fastapi", "litestar", "pydantic", "opentelemetry") if name in sys.modules))
"""
    assert printed_by(program) == "[]\n"
