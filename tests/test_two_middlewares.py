"""Several `RealtimeMiddleware`, gateways and apps: which combinations work, and which are refused at start-up."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any

import httpx
import pytest
import websockets
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    Connection,
    MewBroadcaster,
    MewGateway,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    WebSocketGateway,
    get_broadcaster,
    get_mew_broadcaster,
)
from asgi_realtime.auth.create_token import create_token
from asgi_realtime.lifecycle.mounting import Mountable
from asgi_realtime.socketio import ASGIApp as SocketIOApp
from asgi_realtime.testing import RealtimeTestClient
from tests.support.raw_engineio import raw_client
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")
LIBRARY = Settings(jwt_secret="a secret for tests that is long enough", socketio_path="/library/socket.io")
OPEN = "/?EIO=4&transport=polling"


class Room(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("tea")


class Follow(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("tea")


class Service:
    async def rooms_of(self, identity: Any) -> Any: ...
    async def create_message(self, identity: Any, message: Any, broadcaster: Any) -> Any: ...


def routes() -> FastAPI:
    app = FastAPI()

    @app.post("/say")
    async def say(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> list[Any]:
        return [broadcaster.gateway, (await broadcaster.broadcast_to_room("tea", "news", 1)).delivered_locally]

    @app.post("/mew")
    async def mew(broadcaster: Annotated[MewBroadcaster, Depends(get_mew_broadcaster)]) -> int:
        return (await broadcaster.member_leave("server", "ann")).delivered_locally

    return app


def twice(app: Starlette, **inner: Any) -> ASGIApp:
    app.add_middleware(RealtimeMiddleware, **{"gateways": [Room("/library")], "settings": SETTINGS, **inner})
    app.add_middleware(RealtimeMiddleware, gateways=[Room("/")], settings=SETTINGS)
    return app


def with_another_between(app: Starlette) -> ASGIApp:
    async def between(scope: Scope, receive: Receive, send: Send) -> None:
        await inner({**scope}, receive, send)

    inner = RealtimeMiddleware(app, gateways=[Room("/library")], settings=SETTINGS)
    return RealtimeMiddleware(between, settings=SETTINGS)


def one_path(app: Starlette) -> ASGIApp:
    inner = RealtimeMiddleware(app, gateways=[Follow("/follow")], settings=SETTINGS)
    return RealtimeMiddleware(inner, gateways=[Follow("/follow")], settings=SETTINGS)


def below(app: Starlette) -> ASGIApp:
    inner = RealtimeMiddleware(app, gateways=[Follow("/socket.io/follow")], settings=SETTINGS)
    return RealtimeMiddleware(inner, settings=SETTINGS)


def one_gateway(app: Starlette) -> ASGIApp:
    room = Room("/")
    return RealtimeMiddleware(
        RealtimeMiddleware(app, gateways=[room], settings=LIBRARY), gateways=[room], settings=SETTINGS
    )


def one_server(app: Starlette) -> ASGIApp:
    sio = SocketIOServer()
    return RealtimeMiddleware(SocketIOApp(sio, app, socketio_path="library"), gateways=[sio], settings=SETTINGS)


REFUSED: dict[str, tuple[Callable[[Any], ASGIApp], str]] = {
    "added twice": (twice, "serve /socket.io"),
    "another between": (with_another_between, "serve /socket.io"),
    "one JSON path": (one_path, "serve /follow"),
    "a JSON path below": (below, "serve /socket.io/follow"),
    "one gateway in both": (one_gateway, "Room (/) is mounted in two places"),
    "one server in both": (one_server, "SocketIOServer"),
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEW_JWT_SECRET", "a secret for tests that is long enough")


@pytest.mark.parametrize("implementation", ["uvicorn", "hypercorn"])
@pytest.mark.parametrize("case", REFUSED)
async def test_configurations_that_cannot_work_end_the_start_up(
    case: str, implementation: Implementation, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = REFUSED[case]
    with pytest.raises(RuntimeError, match="did not start") as raised:
        await serve(make(routes()), implementation)
    said = f"{capsys.readouterr().err}\n{raised.value.__cause__}"
    assert message in said
    assert said.count("asgi_realtime: ") == 1


@pytest.mark.parametrize("case", REFUSED)
async def test_without_a_lifespan_the_first_request_logs_it(case: str, caplog: pytest.LogCaptureFixture) -> None:
    make, message = REFUSED[case]
    app = make(routes())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as http:
        assert [(await http.post("/say")).status_code for _ in range(3)] == [500, 500, 500]
    assert [message in record.message for record in caplog.records] == [True]


async def said(server: LiveServer, path: str = "/say") -> Any:
    async with httpx.AsyncClient() as http:
        return (await http.post(server.url + path)).json()


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_two_middlewares_on_different_paths_work(implementation: Implementation, serve: Serve) -> None:
    """The injected broadcaster is that of the innermost middleware."""
    server = await serve(twice(routes(), settings=LIBRARY), implementation)
    assert await said(server) == ["/library", 0]
    async with raw_client(server, "websocket") as client:
        await client.connect({"token": create_token("ann", SETTINGS)})
        assert await said(server) == ["/library", 0]
    async with raw_client(server, "websocket", path="/library") as client:
        await client.connect({"token": create_token("ann", SETTINGS)}, "/library,")
        assert await said(server) == ["/library", 1]


async def test_a_json_gateway_does_not_serve_the_path_of_socketio(serve: Serve) -> None:
    inner = RealtimeMiddleware(routes(), gateways=[Room("/")], settings=SETTINGS)
    server = await serve(RealtimeMiddleware(inner, gateways=[Follow("/follow")], settings=SETTINGS))
    async with httpx.AsyncClient() as http:
        assert (await http.get(server.url + "/socket.io" + OPEN)).text.startswith("0{")
    async with websockets.connect(server.websocket_url + f"/follow?token={create_token('ann', SETTINGS)}") as socket:
        await socket.recv()
    assert await said(server) == ["/", 0]


async def test_an_app_without_a_socketio_gateway_does_not_serve_its_path(serve: Serve) -> None:
    server = await serve(RealtimeMiddleware(routes(), gateways=[], settings=SETTINGS))
    async with httpx.AsyncClient() as http:
        assert (await http.get(server.url + "/socket.io" + OPEN)).status_code == 404
        assert (await http.get(server.url + "/socket.io")).status_code == 404


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_mounted_app_may_have_its_own_middleware(implementation: Implementation, serve: Serve) -> None:
    """The same paths, below another prefix."""
    inner = RealtimeMiddleware(routes(), gateways=[Room("/"), Follow("/follow")], settings=SETTINGS)
    middleware = [Middleware(RealtimeMiddleware, gateways=[Room("/"), Follow("/follow")], settings=SETTINGS)]

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with inner.realtime:
            yield

    outer = Starlette(routes=[Mount("/sub", inner), Mount("/", routes())], middleware=middleware, lifespan=lifespan)
    server = await serve(outer, implementation)
    token = create_token("ann", SETTINGS)
    for path, other in (("", "/sub"), ("/sub", "")):
        async with websockets.connect(server.websocket_url + f"{path}/follow?token={token}") as socket:
            await socket.recv()
        async with raw_client(server, "websocket", path=path) as client:
            await client.connect({"token": token})
            assert await said(server, path + "/say") == ["/", 1]
            assert await said(server, other + "/say") == ["/", 0]


async def test_a_typed_broadcaster_is_that_of_the_middleware_which_has_its_gateway(serve: Serve) -> None:
    for inner, outer in ((MewGateway, Room), (Room, MewGateway)):
        made: list[list[Mountable]] = [
            [kind(service=Service()) if kind is MewGateway else Room("/")] for kind in (inner, outer)
        ]
        app = RealtimeMiddleware(routes(), gateways=made[0], settings=LIBRARY)
        server = await serve(RealtimeMiddleware(app, gateways=made[1], settings=SETTINGS))
        assert await said(server, "/mew") == 0


@pytest.mark.parametrize(
    ("gateways", "message"),
    [
        ([], "no MewGateway is mounted; pass one to RealtimeMiddleware"),
        (["/a", "/b"], "2 gateways are a MewGateway (/a, /b); name the one you mean"),
    ],
)
async def test_a_typed_broadcaster_without_exactly_one_gateway_of_its_kind_raises(
    gateways: list[str], message: str
) -> None:
    made: list[Mountable] = [MewGateway(name, service=Service()) for name in gateways]
    app = RealtimeMiddleware(routes(), gateways=made, settings=SETTINGS)
    async with RealtimeTestClient(app) as client:
        with pytest.raises(ConfigurationError) as raised:
            await client.http.post("/mew")
        assert message in str(raised.value)


async def test_a_broadcaster_without_a_middleware_raises() -> None:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(routes()), base_url="http://test") as http:
        for path in ("/say", "/mew"):
            with pytest.raises(ConfigurationError, match=r"app\.add_middleware\(RealtimeMiddleware\)"):
                await http.post(path)
    wrong: Any = routes()
    with pytest.raises(TypeError, match="pass a Request"):
        await get_broadcaster(wrong)


async def test_a_gateway_may_be_mounted_in_one_app_after_another() -> None:
    """Each test makes an app, with gateways that belong to a module."""
    room = Room("/")
    apps = [RealtimeMiddleware(routes(), gateways=[room], settings=SETTINGS) for _ in range(2)]
    with pytest.raises(ConfigurationError, match="mounted in two places"):
        async with RealtimeTestClient(apps[0]):
            pass
    async with RealtimeTestClient(apps[1]) as client, client.connect("/", token=client.token("ann")):
        assert (await client.http.post("/say")).json() == ["/", 1]
        with pytest.raises(ConfigurationError, match="mounted in two places"):
            RealtimeMiddleware(routes(), gateways=[room], settings=SETTINGS).realtime  # noqa: B018
        assert (await client.http.post("/say")).json() == ["/", 1]
    third = RealtimeMiddleware(routes(), gateways=[room], settings=SETTINGS)
    async with RealtimeTestClient(third) as client, client.connect("/", token=client.token("ann")):
        assert (await client.http.post("/say")).json() == ["/", 1]
