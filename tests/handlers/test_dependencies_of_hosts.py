"""Dependencies that belong to the host app: of FastAPI with its overrides, of Litestar by name, and what apps share.

Annotations are no text here, since functions within tests have them.
"""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

import fastapi
import litestar
import pytest
from litestar.datastructures import State
from litestar.di import NamedDependency, Provide
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    Connection,
    Depends,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    get_broadcaster,
    get_gateway,
)
from asgi_realtime.gateways.declarations import declarations
from asgi_realtime.testing import RealtimeTestClient

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)


class Database:
    """Of an app."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.open = 0

    @asynccontextmanager
    async def session(self) -> AsyncIterator[str]:
        self.open += 1
        yield f"session of {self.name}"
        self.open -= 1


async def get_database(conn: HTTPConnection) -> Database:
    found: Database = conn.app.state.database
    return found


async def get_session(database: Annotated[Database, fastapi.Depends(get_database)]) -> AsyncIterator[str]:
    async with database.session() as session:
        yield session


Session = Annotated[str, fastapi.Depends(get_session)]


def shop() -> SocketIOGateway:
    gateway = SocketIOGateway("/")

    @gateway.on("session")
    async def session(item: str, session: Session) -> str:
        return f"{item} in the {session}"

    return gateway


def in_the_list() -> tuple[fastapi.FastAPI, ASGIApp]:
    app = fastapi.FastAPI()
    app.add_middleware(RealtimeMiddleware, gateways=[shop()], settings=SETTINGS)
    return app, app


def around() -> tuple[fastapi.FastAPI, ASGIApp]:
    app = fastapi.FastAPI()
    return app, RealtimeMiddleware(app, gateways=[shop()], settings=SETTINGS)


class HostMiddleware:
    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, *arguments: Any) -> None:
        await self.app(*arguments)


def around_middleware() -> tuple[fastapi.FastAPI, ASGIApp]:
    app = fastapi.FastAPI()
    return app, RealtimeMiddleware(HostMiddleware(app), gateways=[shop()], settings=SETTINGS)


@pytest.mark.parametrize("mounted", [in_the_list, around, around_middleware])
async def test_overrides_of_fastapi_apply_to_events(mounted: Callable[[], tuple[fastapi.FastAPI, ASGIApp]]) -> None:
    app, served = mounted()
    app.state.database = real = Database("the shop")
    test = Database("a test")

    @app.get("/session")
    async def route(session: Session) -> str:
        return session

    async with RealtimeTestClient(served) as client, client.connect(token=client.token("ann")) as ann:
        assert await ann.call("session", "tea") == "tea in the session of the shop"
        app.dependency_overrides[get_database] = lambda: test
        assert await ann.call("session", "tea") == "tea in the session of a test"
        assert await ann.call("session", "tea") == "tea in the session of a test"
        assert (await client.http.get("/session")).json() == "session of a test"

        async def override(conn: HTTPConnection) -> AsyncIterator[str]:
            yield f"override at {conn.url.path}"

        app.dependency_overrides[get_session] = override
        assert await ann.call("session", "tea") == "tea in the override at /socket.io/"
        app.dependency_overrides[get_session] = lambda q: q
        assert (await ann.call("session", "tea"))["code"] == "INTERNAL"
        app.dependency_overrides.clear()
        assert await ann.call("session", "tea") == "tea in the session of the shop"
    assert (real.open, test.open) == (0, 0)


async def test_functions_of_this_package_that_take_a_connection_are_dependencies() -> None:
    chat = WebSocketGateway("/chat")

    @chat.on("say")
    async def say(
        text: str,
        broadcaster: Annotated[Broadcaster, fastapi.Depends(get_broadcaster)],
        gateway: Annotated[WebSocketGateway, fastapi.Depends(get_chat)],
    ) -> None:
        await broadcaster.broadcast_to_all("said", text)
        assert gateway is chat

    app = fastapi.FastAPI()
    app.add_middleware(RealtimeMiddleware, gateways=[chat], settings=SETTINGS)
    async with RealtimeTestClient(app) as client, client.connect("/chat", token=client.token("ann")) as ann:
        await ann.send("say", "hello")
        assert (await ann.expect("said")).data == "hello"


async def test_the_handshake_of_an_event_has_what_is_kept_and_says_what_is_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        yield {"pool": "a pool"}

    def shown(conn: HTTPConnection) -> list[Any]:
        state = conn.state
        state.mine = "not of the next event"
        return [state.pool, conn.query_params["room"], conn.url.path, conn.client.host if conn.client else None]

    def again(conn: HTTPConnection) -> bool:
        return hasattr(conn.state, "mine")

    def headers(conn: HTTPConnection) -> str:
        return conn.headers["user-agent"]

    def cookies(conn: HTTPConnection) -> str:
        return conn.cookies["session"]

    gateway = SocketIOGateway("/")

    @gateway.on("shown")
    def show(shown: Annotated[list[Any], Depends(shown)], again: Annotated[bool, Depends(again)]) -> list[Any]:
        return [*shown, again]

    @gateway.on("headers")
    async def read_headers(agent: Annotated[str, Depends(headers)]) -> None: ...

    @gateway.on("cookies")
    async def read_cookies(session: Annotated[str, Depends(cookies)]) -> None: ...

    app = Starlette(
        lifespan=lifespan, middleware=[Middleware(RealtimeMiddleware, gateways=[gateway], settings=SETTINGS)]
    )
    async with RealtimeTestClient(app) as client:
        async with client.connect(token=client.token("ann"), query={"room": "tea"}, headers={"cookie": "a=b"}) as ann:
            for _ in range(2):
                assert await ann.call("shown") == ["a pool", "tea", "/socket.io/", "testclient", False]
            assert (await ann.call("headers"))["code"] == "INTERNAL"
            assert (await ann.call("cookies"))["code"] == "INTERNAL"
    assert "the headers of a handshake are dropped when on_connect has returned" in caplog.text
    assert "the cookies of a handshake are dropped when on_connect has returned" in caplog.text


async def get_chat(conn: HTTPConnection) -> WebSocketGateway:
    return get_gateway(conn, WebSocketGateway)


def provide_name(state: State) -> str:
    return f"{state.name}"


async def provide_session(name: str, connection: Connection) -> AsyncIterator[str]:
    yield f"session of {name} for {connection.identity.user_id}"


def provide_number() -> Iterator[int]:
    yield 7


async def test_dependencies_of_litestar_are_found_by_name() -> None:
    gateway = SocketIOGateway("/")

    @gateway.on("session")
    async def handler(item: str, session: NamedDependency[str], number: NamedDependency[int]) -> str:
        return f"{item} {number} in the {session}"

    app = litestar.Litestar(
        dependencies={
            "name": Provide(provide_name, sync_to_thread=True),
            "session": Provide(provide_session),
            "number": Provide(provide_number),
        },
        state=State({"name": "the shop"}),
        logging_config=None,
    )
    served = RealtimeMiddleware(app, gateways=[gateway], settings=SETTINGS)  # type: ignore[arg-type]
    async with RealtimeTestClient(served) as client, client.connect(token=client.token("ann")) as ann:
        assert await ann.call("session", "tea") == "tea 7 in the session of the shop for ann"
    (event,) = [each for each in declarations(gateway) if each.name == "session"]
    assert event.payload is str


@pytest.mark.parametrize(
    ("dependencies", "message"),
    [
        ({}, r"parameter 'session': the app has no dependency of this name \(none\): write Litestar\(dependencies="),
        ({"other": Provide(provide_number)}, r"\(other\)"),
        ({"session": Provide(provide_session)}, r"dependency provide_session: parameter 'name': nothing fills it"),
        (
            {"session": Provide(provide_name, sync_to_thread=True, use_cache=True)},
            r"use_cache=True\) keeps one value for ever",
        ),
    ],
)
def test_what_litestar_does_not_provide_is_refused_at_start_up(dependencies: dict[str, Any], message: str) -> None:
    gateway = SocketIOGateway("/")

    @gateway.on("session")
    async def handler(session: NamedDependency[str]) -> None: ...

    app: Any = litestar.Litestar(dependencies=dependencies, logging_config=None)
    with pytest.raises(ConfigurationError, match=message):
        _ = RealtimeMiddleware(app, gateways=[gateway], settings=SETTINGS).realtime


async def test_an_app_without_dependencies_of_its_own_uses_depends() -> None:
    async def session() -> AsyncIterator[str]:
        yield "session"

    class Gateway(SocketIOGateway):
        """With a handler that is a method."""

    gateway = Gateway("/")

    @gateway.on("session")
    async def handler(session: Annotated[str, Depends(session)]) -> str:
        return session

    async with RealtimeTestClient(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)) as client:
        async with client.connect(token=client.token("ann")) as ann:
            assert await ann.call("session") == "session"
