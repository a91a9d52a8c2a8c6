"""The plugin for Litestar: injection, order, CORS, OpenAPI, tests, and what is refused at start-up."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager
from litestar import Controller, Litestar, WebSocket, asgi, get, post, websocket
from litestar.config.cors import CORSConfig
from litestar.config.csrf import CSRFConfig
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency, Provide
from litestar.exceptions import PermissionDeniedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath
from litestar.security.jwt import JWTAuth, Token
from litestar.testing import TestClient, create_test_client
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    Connection,
    EventsBroadcaster,
    EventsGateway,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    get_broadcaster,
    get_events_broadcaster,
    on,
)
from asgi_realtime.litestar import RealtimePlugin, provide
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from tests.support.servers import Serve
from tests.support.target_process import target_process

SECRET = "a secret for tests that is long enough"
SETTINGS = Settings(jwt_secret=SECRET)
SETTINGS_ORIGIN, HOST_ORIGIN, FOREIGN = "https://settings.example", "https://host.example", "https://foreign.example"
POLLING = "/socket.io/?EIO=4&transport=polling"


class Board(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("board")

    @on("echo")
    async def echo(self, text: str) -> str:
        return text


def make(*handlers: Any, plugin: RealtimePlugin | None = None, **options: Any) -> Any:
    """A Litestar app with the plugin. `Any`: Litestar's types of ASGI are not Starlette's."""
    plugin = plugin or RealtimePlugin(gateways=[Board()], settings=SETTINGS)
    return Litestar(list(handlers), plugins=[plugin], logging_config=None, **options)


# Injection


class Boards(Controller):
    path = "/boards"

    @post("/{name:str}/async")
    async def send(self, name: FromPath[str], broadcaster: NamedDependency[Broadcaster]) -> int:
        return (await broadcaster.broadcast_to_room(name, "async")).delivered_locally

    @post("/{name:str}/thread", sync_to_thread=True)
    def send_from_a_thread(self, name: FromPath[str], broadcaster: NamedDependency[Broadcaster]) -> int:
        return broadcaster.sync.broadcast_to_room(name, "thread").delivered_locally


@websocket("/own")
async def own(socket: WebSocket[Any, Any, Any], broadcaster: NamedDependency[Broadcaster]) -> None:
    await socket.accept()
    await socket.send_json((await broadcaster.broadcast_to_room("board", "own")).delivered_locally)
    await socket.close()


async def test_handlers_get_the_broadcaster() -> None:
    async with RealtimeTestClient(make(Boards)) as client, client.connect(token=client.token("ann")) as ann:
        for way in ("async", "thread"):
            response = await client.http.post(f"/boards/board/{way}")
            assert (response.status_code, response.json()) == (201, 1)
            await ann.expect(way)


def test_websocket_routes_of_the_app_get_it_too_and_the_test_client_of_litestar_works() -> None:
    with TestClient(make(own, Boards)) as client:
        with client.websocket_connect("/own") as socket:
            assert socket.receive_json() == 0
        assert client.post("/boards/board/thread").json() == 0
        assert client.get(POLLING).text.startswith("0{")


def test_one_plugin_serves_the_apps_of_many_tests_and_one_app_starts_again() -> None:
    plugin = RealtimePlugin(gateways=[Board(), WebSocketGateway("/json")], settings=SETTINGS)
    token = make_token("ann")
    app = make(Boards, plugin=plugin)
    for client in (create_test_client([Boards], plugins=[plugin]), TestClient(app), TestClient(app)):
        with client:
            with client.websocket_connect(f"/json?token={token}") as socket:
                assert socket.receive_json()["type"] == "auth_success"
            assert client.post("/boards/board/async").json() == 0


def make_token(user: str) -> str:
    return JWTAuth[Any](token_secret=SECRET, retrieve_user_handler=who).create_token(user)


async def who(token: Token, connection: ASGIConnection[Any, Any, Any, Any]) -> str:
    return token.sub


async def test_the_name_of_the_dependency_may_be_chosen() -> None:
    @post("/")
    async def send(live: NamedDependency[Broadcaster]) -> int:
        return (await live.broadcast_to_all("x")).delivered_locally

    plugin = RealtimePlugin(gateways=[Board()], settings=SETTINGS, dependency="live")
    async with RealtimeTestClient(make(send, plugin=plugin)) as client:
        assert (await client.http.post("/")).json() == 0


async def test_typed_broadcasters_are_dependencies_too() -> None:
    @post("/")
    async def send(events: NamedDependency[EventsBroadcaster]) -> str:
        return type(events).__name__

    plugin = RealtimePlugin(gateways=[EventsGateway()], settings=SETTINGS)
    app = make(send, plugin=plugin, dependencies={"events": provide(get_events_broadcaster)})
    async with RealtimeTestClient(app) as client:
        assert (await client.http.post("/")).text == "EventsBroadcaster"


def test_the_openapi_document_has_the_routes_of_the_app_alone() -> None:
    schema = make(Boards).openapi_schema.to_schema()
    assert sorted(schema["paths"]) == ["/boards/{name}/async", "/boards/{name}/thread"]
    for path in schema["paths"].values():
        assert [parameter["name"] for parameter in path["post"]["parameters"]] == ["name"]
        assert "requestBody" not in path["post"]


# In front of everything else


async def refuse_all(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    raise PermissionDeniedException


def impassable(app: Any) -> Any:
    """A middleware of Litestar that refuses all requests."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        raise PermissionDeniedException

    return serve


async def test_guards_csrf_authentication_and_middleware_of_the_app_are_not_in_front_of_gateways(serve: Serve) -> None:
    authentication = JWTAuth[Any](token_secret=SECRET, retrieve_user_handler=who)
    app = make(
        Boards,
        guards=[refuse_all],
        middleware=[impassable],
        csrf_config=CSRFConfig(secret="x" * 32),
        on_app_init=[authentication.on_app_init],
    )
    server = await serve(app)
    async with httpx.AsyncClient(base_url=server.url) as http:
        opened = (await http.get(POLLING)).text
        sid = opened.partition('"sid":"')[2].partition('"')[0]
        assert (await http.post(f"{POLLING}&sid={sid}", content="40")).status_code == 200
        assert (await http.post("/boards/board/async")).status_code in (401, 403)


async def test_a_token_of_litestars_jwt_authentication_is_accepted() -> None:
    async with RealtimeTestClient(make()) as client:
        async with client.connect(token=make_token("ann")) as ann:
            assert ann.connection.identity.user_id == "ann"
            assert await ann.call("echo", "x") == "x"
        with pytest.raises(ConnectionRefused):
            async with client.connect(token="forged"):
                pass


async def test_litestars_cors_is_for_routes_and_the_shared_policy_for_both(serve: Serve) -> None:
    settings = Settings(jwt_secret=SECRET, cors_origins=(SETTINGS_ORIGIN,))
    plugin = RealtimePlugin(gateways=[Board()], settings=settings)
    server = await serve(make(Boards, plugin=plugin, cors_config=CORSConfig(allow_origins=[HOST_ORIGIN])))
    preflight = {"access-control-request-method": "POST"}
    async with httpx.AsyncClient(base_url=server.url) as http:
        for origin, route, gateway in (
            (SETTINGS_ORIGIN, True, True),
            (HOST_ORIGIN, True, False),
            (FOREIGN, False, False),
        ):
            asked = {"origin": origin}
            for response, allowed in (
                (await http.post("/boards/board/async", headers=asked), route),
                (await http.options("/boards/board/async", headers=asked | preflight), route),
                (await http.get(POLLING, headers=asked), gateway),
            ):
                listed = response.headers.get_list("access-control-allow-origin")
                assert listed == ([origin] if allowed else []), response.request


# Start and stop


async def test_gateways_start_before_the_app_and_stop_after_it() -> None:
    happened: list[object] = []

    class Recording(Board):
        async def on_start(self) -> None:
            happened.append("gateways")

        async def on_disconnect(self, connection: Connection, reason: str) -> None:
            happened.append("client closed")

    @asynccontextmanager
    async def lifespan(app: Litestar) -> AsyncIterator[None]:
        happened.append("lifespan")
        yield
        happened.append(await send())

    async def started() -> None:
        happened.append("start-up hook")

    async def stopped() -> None:
        happened.append(await send())

    async def send() -> int:
        return (await broadcaster.broadcast_to_room("board", "bye")).delivered_locally

    plugin = RealtimePlugin(gateways=[Recording()], settings=SETTINGS)
    app = make(plugin=plugin, lifespan=[lifespan], on_startup=[started], on_shutdown=[stopped])
    async with RealtimeTestClient(app) as client:
        broadcaster = client.broadcaster
        ann = client.connect(token=client.token("ann"))
        await ann.__aenter__()
    assert happened == ["gateways", "lifespan", "start-up hook", 1, 1, "client closed"]


async def fails(app: Litestar) -> None:
    raise LookupError("no database")


async def test_gateways_are_stopped_if_the_app_does_not_start() -> None:
    gateway = Board()
    plugin = RealtimePlugin(gateways=[gateway], settings=SETTINGS)
    with pytest.RaisesGroup(LookupError):
        async with LifespanManager(make(plugin=plugin, on_startup=[fails])):
            pass
    async with RealtimeTestClient(make(plugin=plugin)) as client, client.connect(token=client.token("ann")):
        pass  # another app can use the gateway


async def test_litestars_command_serves_the_app(tmp_path: Path) -> None:
    command = ("--app", "examples.hosts.litestar_app:app", "run", "--port", "0")
    async with target_process(tmp_path, *command, module="litestar") as process:
        async with httpx.AsyncClient(base_url=process.server.url) as http:
            assert (await http.get(POLLING)).text.startswith("0{")
            assert (await http.post("/rooms/lobby/messages", json={"text": "hello"})).status_code == 201


# What is refused


@get("/socket.io/client.js", sync_to_thread=False)
def below() -> str:
    return ""


@websocket("/json")
async def hidden(socket: WebSocket[Any, Any, Any]) -> None: ...


@asgi("/socket.io", is_mount=True, copy_scope=True)
async def mounted(scope: Any, receive: Any, send: Any) -> None: ...


@post("/", dependencies={"events": Provide(get_events_broadcaster)})
async def wrong(events: NamedDependency[EventsBroadcaster]) -> None: ...


@post("/")
async def wrong_too(live: NamedDependency[Broadcaster]) -> None: ...


def refused(message: str) -> Any:
    """What Litestar raises if a lifespan fails with a `ConfigurationError`."""
    return pytest.RaisesGroup(pytest.RaisesExc(ConfigurationError, match=message))


@pytest.mark.filterwarnings("ignore:.*inferred style:DeprecationWarning")  # Litestar's, of a wrong dependency
@pytest.mark.parametrize(
    ("handler", "options", "message"),
    [
        (below, {}, "the route /socket.io/client.js of the app is never reached"),
        (mounted, {}, "the route /socket.io of the app is never reached"),
        (hidden, {}, "the WebSocket route /json of the app is never reached"),
        (wrong, {}, r"write provide\(get_events_broadcaster\)"),
        (wrong_too, {"dependencies": {"live": Provide(get_broadcaster)}}, r"write provide\(get_broadcaster\)"),
    ],
)
async def test_what_would_fail_later_ends_the_start_up(handler: Any, options: Any, message: str) -> None:
    plugin = RealtimePlugin(gateways=[Board(), WebSocketGateway("/json")], settings=SETTINGS)
    app = make(handler, plugin=plugin, **options)
    with refused(message):
        async with LifespanManager(app):
            pass


def test_a_dependency_of_the_same_name_is_refused_when_the_app_is_made() -> None:
    with pytest.raises(ConfigurationError, match=r"RealtimePlugin\(dependency="):
        make(dependencies={"broadcaster": Provide(lambda: 1, sync_to_thread=False)})


async def test_without_a_key_the_app_can_be_made_but_does_not_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delenv("MEW_JWT_SECRET", raising=False)
    app: ASGIApp = make(Boards, plugin=RealtimePlugin(gateways=[Board()]))
    with refused("MEW_JWT_SECRET"):
        async with LifespanManager(app):
            pass
    (said,) = [record.getMessage() for record in caplog.records if record.name == "asgi_realtime"]
    assert said.startswith("asgi_realtime: no key to verify tokens with: set MEW_JWT_SECRET")


async def test_an_app_without_the_plugin_has_no_middleware() -> None:
    bare: Any = Litestar([], logging_config=None)
    with pytest.raises(ConfigurationError, match="no RealtimeMiddleware"):
        async with RealtimeTestClient(bare):
            pass


async def test_a_request_without_the_lifespan_is_told_the_reason() -> None:
    transport = httpx.ASGITransport(make(Boards, debug=True))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as http:
        response = await http.post("/boards/board/async")
    assert response.status_code == 500
    assert "RealtimePlugin have not started" in response.text
