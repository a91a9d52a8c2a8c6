"""What a dependency cannot have is refused at start-up, with its name and with what to write instead.

Annotations are no text here, since functions within tests have them.
"""

import contextlib
import inspect
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Annotated, Any

import fastapi
import pytest
from fastapi.security import OAuth2PasswordBearer, SecurityScopes

from asgi_realtime import (
    ConfigurationError,
    Depends,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SyncConnection,
)
from asgi_realtime.handlers.event_handlers import bind_handler

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
BROADCASTER: Any = object()


def refused(function: Callable[..., Any]) -> str:
    with pytest.raises(ConfigurationError) as error:
        bind_handler("event", function, BROADCASTER)
    return str(error.value)


def counter() -> Callable[[], Awaitable[int]]:
    calls = iter(range(1, 100))

    async def count() -> int:
        return next(calls)

    return count


def lacks(option: str) -> pytest.MarkDecorator:
    """Skip a test if this version of FastAPI has no such option of `Depends`: there is nothing to refuse."""
    missing = option not in inspect.signature(fastapi.Depends).parameters
    return pytest.mark.skipif(missing, reason=f"FastAPI {fastapi.__version__} has no Depends({option}=…)")


def of_fastapi(message: str, **option: Any) -> Any:
    """A case for a marker of FastAPI with this option."""
    needed = lacks(*option)
    return pytest.param(None if needed.args[0] else fastapi.Depends(counter(), **option), message, marks=needed)


def app_of(*gateways: Any) -> RealtimeMiddleware:
    return RealtimeMiddleware(fastapi.FastAPI(), gateways=gateways, settings=SETTINGS)


def test_functions_without_a_connection_take_no_dependencies() -> None:
    class Starting(SocketIOGateway):
        async def on_start(self, count: int = Depends(counter())) -> None: ...

    class WithRooms(SocketIOGateway):
        async def rooms_of(self, identity: Identity, count: int = fastapi.Depends(counter())) -> dict[str, None]:
            return {}

    async def authenticate(handshake: Any, count: int = Depends(counter())) -> Identity:
        return Identity(user_id="ann")

    class Service:
        async def count(self, identity: Identity, count: int = Depends(counter())) -> int:
            return count

    with pytest.raises(ConfigurationError, match=r"Service\.count: the parameter 'count' is a dependency"):
        SocketIOGateway("/").service_call(Service(), "count", "identity")
    for gateway, where in (
        (Starting("/"), "Starting.on_start"),
        (WithRooms("/"), "WithRooms.rooms_of"),
        (SocketIOGateway("/", authenticator=authenticate), "SocketIOGateway: authenticator"),
    ):
        with pytest.raises(ConfigurationError, match=f"{where}: the parameter 'count' is a dependency.*on_connect"):
            _ = app_of(gateway).realtime


async def items(
    q: Annotated[str, fastapi.Query()] = "",
) -> str:
    return q


async def plain_query(skip: int = 0) -> int:
    return skip


async def body(item: dict[str, str]) -> None: ...
async def header(token: Annotated[str, fastapi.Header()]) -> None: ...
async def cookie(token: str = fastapi.Cookie()) -> None: ...
async def request(request: fastapi.Request) -> None: ...
async def websocket(websocket: fastapi.WebSocket) -> None: ...
async def response(response: fastapi.Response) -> None: ...
async def background(tasks: fastapi.BackgroundTasks) -> None: ...
async def scopes(scopes: SecurityScopes) -> None: ...
async def unhinted(anything): ...  # type: ignore[no-untyped-def]
async def everything(*args: Any) -> None: ...
async def starred(*counts: Annotated[int, Depends(counter())]) -> None: ...
async def for_threads(connection: SyncConnection) -> None: ...
async def nested(items: Annotated[str, fastapi.Depends(items)]) -> None: ...
async def secured(user: Annotated[str, fastapi.Security(items)]) -> None: ...


@contextlib.asynccontextmanager
async def managed() -> AsyncIterator[str]:
    yield ""


async def first(second: Annotated[str, Depends(lambda: None)]) -> None: ...


first.__annotations__["second"] = Annotated[str, Depends(first)]


@pytest.mark.parametrize(
    ("marker", "message"),
    [
        (
            fastapi.Depends(items),
            r"dependency items: parameter 'q': Query\(…\) reads a request of HTTP.*HTTPConnection",
        ),
        (fastapi.Depends(header), r"dependency header: parameter 'token': Header\(…\).*connection.handshake"),
        (fastapi.Depends(cookie), r"parameter 'token': Cookie\(…\)"),
        (Depends(plain_query), r"parameter 'skip': nothing fills it: an event has no query.*functools.partial"),
        (Depends(body), r"parameter 'item': nothing fills it"),
        (Depends(unhinted), r"parameter 'anything': nothing fills it"),
        (Depends(everything), r"parameter 'args': nothing fills it: a decorator needs functools.wraps"),
        (Depends(starred), r"parameter 'counts': nothing fills it"),
        (Depends(request), r"parameter 'request': Request belongs to a request.*HTTPConnection"),
        (Depends(websocket), r"parameter 'websocket': WebSocket belongs"),
        (Depends(response), r"parameter 'response': Response belongs"),
        (Depends(background), r"parameter 'tasks': BackgroundTasks belongs"),
        (Depends(scopes), r"parameter 'scopes': SecurityScopes belongs"),
        (Depends(for_threads), r"parameter 'connection': SyncConnection is for plain functions"),
        (Depends(nested), r"dependency nested: parameter 'items': dependency items: parameter 'q'"),
        (Depends(secured), r"parameter 'user': Security\(…\) reads the headers.*identity: Identity"),
        (Depends(managed), r"dependency managed: it is a context manager already"),
        (Depends(first), r"parameter 'second': the dependency first depends on itself"),
        (Depends(SocketIOGateway.on_start), r"parameter 'self': nothing fills it"),
        (Depends, r"write Depends\(get_session\)"),
        (fastapi.Security(items), r"Security\(…\)"),
        (
            fastapi.Depends(OAuth2PasswordBearer("token")),
            r"dependency OAuth2PasswordBearer.*: it reads the credentials.*identity: Identity",
        ),
        of_fastapi(r'scope="function"', scope="request"),
        of_fastapi("semaphore", max_concurrency=2),
    ],
)
def test_what_an_event_cannot_give_is_refused_at_start_up(marker: Any, message: str) -> None:
    async def annotated(text: str, service: Annotated[Any, marker]) -> None: ...
    async def default(text: str, service: Any = marker) -> None: ...

    for function in (annotated, default):
        found = refused(function)
        assert "of 'event': parameter 'service': " in found
        assert re.search(message, found), found


def test_what_a_handler_cannot_take_is_refused_at_start_up() -> None:
    async def twice(a: Annotated[int, Depends(counter())] = fastapi.Depends(counter())) -> None: ...
    async def keyword(*, a: Annotated[int, Depends(counter())]) -> None: ...
    async def variable(*a: Annotated[int, Depends(counter())]) -> None: ...
    async def classless(a: Annotated[Any, Depends()]) -> None: ...

    assert "another one as its default" in refused(twice)
    assert "make it positional" in refused(keyword)
    assert "make it positional" in refused(variable)
    assert "calls the class that is annotated" in refused(classless)
    with pytest.raises(ConfigurationError, match="takes a function"):
        Depends(3)  # type: ignore[arg-type]


@lacks("scope")
def test_a_scope_that_ends_before_the_answer_is_respected() -> None:
    async def handler(count: Annotated[int, fastapi.Depends(counter(), scope="function")]) -> None: ...

    bind_handler("event", handler, BROADCASTER)
