"""Each mounting error ends the start-up with one message, on every server and with every kind of host."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import logging
import os
import re
import subprocess
import sys
import typing
import warnings
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, cast

import anyio.to_thread
import httpx
import litestar
import pytest
import redis
import redis.asyncio
import socketio
import websockets
from asgi_lifespan import LifespanManager
from fastapi import APIRouter, Depends, FastAPI, WebSocket
from flask import Flask
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_realtime import (
    ConfigurationError,
    InfraGateway,
    OpenTelemetryTracing,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    WebSocketGateway,
)
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.testing import RealtimeTestClient
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.servers import Implementation, Serve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the test client of Starlette is deprecated in favour of one with the same API
    from starlette.testclient import TestClient

SECRET = "a secret for tests that is long enough"
SETTINGS = Settings(jwt_secret=SECRET)
SERVERS: tuple[Implementation, ...] = ("uvicorn", "hypercorn")


class Board(SocketIOGateway): ...


NO_VARIABLES: dict[str, str] = {}


class Forgot(SocketIOGateway):
    def __init__(self) -> None:
        self.database = None


class Abstract(Gateway): ...


class Broken(SocketIOGateway):
    def extra_origins(self, settings: Settings) -> list[str]:
        return [NO_VARIABLES["DATABASE_URL"]]


class NeedsVariable(SocketIOGateway):
    async def on_start(self) -> None:
        NO_VARIABLES["DATABASE_URL"]


class Leaves(SocketIOGateway):
    async def on_start(self) -> None:
        leave()


def leave() -> None:
    sys.exit("DATABASE_URL")


class Cancelled(SocketIOGateway):
    async def on_start(self) -> None:
        await cancelled()


async def cancelled() -> None:
    raise asyncio.CancelledError


twice = Board()
server = SocketIOServer()


@server.event
async def said(sid: str) -> None: ...


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "a class in the list": ({"gateways": [Board]}, "item 0 is the class Board; mount an instance: Board(...)"),
    "a class": ({"gateways": Board}, "the class Board"),
    "no list": ({"gateways": Board()}, "write gateways=[Board(...)]"),
    "no list, a server": ({"gateways": SocketIOServer()}, "write gateways=[SocketIOServer(...)]"),
    "None in the list": ({"gateways": [Board(), None]}, "item 1 is None"),
    "False in the list": ({"gateways": [Board(), False]}, "item 1 is not a gateway but a bool"),
    "a path": ({"gateways": "/chat"}, "WebSocketGateway('/chat')"),
    "a path in the list": ({"gateways": ["/chat"]}, "item 0 is the text '/chat'"),
    "a dict": ({"gateways": {"/": Board()}}, "not a dict"),
    "a set": ({"gateways": {Board()}}, "not a set"),
    "a generator": ({"gateways": (each for each in [Board()])}, "not a generator"),
    "the same instance twice": ({"gateways": [twice, twice]}, "'/' is mounted twice"),
    "two of one name": ({"gateways": [Board("/a"), InfraGateway("/a")]}, "'/a' is mounted twice"),
    "a server beside its namespace": ({"gateways": [server, Board("/")]}, "'/' is mounted twice"),
    "an abstract gateway": ({"gateways": [Abstract("/a")]}, "SocketIOGateway or WebSocketGateway"),
    "python-socketio's server": ({"gateways": [socketio.AsyncServer()]}, "SocketIOServer of asgi_realtime"),
    "__init__ without super()": ({"gateways": [Forgot()]}, "Forgot.__init__ does not call super().__init__"),
    "a path of Socket.IO": ({"gateways": [Board(), WebSocketGateway("/socket.io")]}, "where Socket.IO is served"),
    "a path below Socket.IO": ({"gateways": [Board(), WebSocketGateway("/socket.io/x")]}, "where Socket.IO is served"),
    "misspelt: gateway": ({"gateway": [Board()]}, "no argument 'gateway'; write gateways="),
    "misspelt: gatways": ({"gatways": [Board()]}, "write gateways="),
    "misspelt: setting": ({"setting": SETTINGS}, "write settings="),
    "misspelt: cors": ({"cors_origins": ["https://a.example"]}, "it has gateways, settings, metrics"),
    "settings: a dict": ({"settings": {"jwt_secret": SECRET}}, "settings=Settings(**values)"),
    "settings: an empty dict": ({"settings": {}}, "settings=Settings(**values)"),
    "settings: the class": ({"settings": Settings}, "Settings.from_env()"),
    "settings: a text": ({"settings": "production"}, "not a str"),
    "settings: False": ({"settings": False}, "not a bool"),
    "metrics: a text": ({"metrics": "prometheus"}, "str has no attach"),
    "metrics: the class": ({"metrics": RecordedMetrics}, "RecordedMetrics(...)"),
    "tracing: a text": ({"tracing": "opentelemetry"}, "str has no link"),
    "tracing: the class": ({"tracing": OpenTelemetryTracing}, "OpenTelemetryTracing(...)"),
    "redis: a client that blocks": ({"redis": redis.Redis()}, "redis=: it takes a client of redis.asyncio"),
    "redis: a URL": ({"redis": "redis://localhost"}, "a URL belongs into MEW_REDIS_URL"),
    "redis: beside a URL": (
        {"redis": redis.asyncio.Redis(), "settings": Settings(jwt_secret=SECRET, redis_url="redis://localhost")},
        "redis= and MEW_REDIS_URL both say where Redis is; keep one of them",
    ),
    "no key": ({"settings": Settings()}, "MEW_JWT_SECRET"),
}
EXCEPTIONS: dict[str, dict[str, Any]] = {
    "in on_start": {"gateways": [NeedsVariable("/")]},
    "in leave": {"gateways": [Leaves("/")]},
    "in cancelled": {"gateways": [Cancelled("/")]},
    "in extra_origins": {"gateways": [Broken("/")]},
}


async def health(request: Request) -> Response:
    return PlainTextResponse("well")


def fastapi() -> FastAPI:
    return FastAPI(routes=[Route("/health", health)])


def starlette() -> Starlette:
    return Starlette(routes=[Route("/health", health)])


async def bare(scope: Scope, receive: Receive, send: Send) -> None:
    assert scope["type"] == "http"
    await PlainTextResponse("well")(scope, receive, send)


async def own_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that serves the lifespan beside the routes, as Quart and Litestar do."""
    if scope["type"] == "lifespan":
        for event in ("startup", "shutdown"):
            await receive()
            await send({"type": f"lifespan.{event}.complete"})
    else:
        await bare(scope, receive, send)


def added(make: Callable[[], Starlette]) -> Callable[..., ASGIApp]:
    def mount(**options: Any) -> ASGIApp:
        app = make()
        app.add_middleware(RealtimeMiddleware, **{"settings": SETTINGS, **options})
        return app

    return mount


def wrapped(app: ASGIApp) -> Callable[..., ASGIApp]:
    return lambda **options: RealtimeMiddleware(app, **{"settings": SETTINGS, **options})


HOSTS = [added(fastapi), added(starlette), wrapped(starlette()), wrapped(bare), wrapped(own_lifespan)]
each_host = pytest.mark.parametrize("mount", HOSTS, ids=["fastapi", "starlette", "wrapped", "bare", "own lifespan"])
each_server = pytest.mark.parametrize("implementation", SERVERS)


async def refusal(
    app: ASGIApp, implementation: Implementation, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> str:
    """The output of a server that fails to start."""
    capsys.readouterr()
    with pytest.raises(RuntimeError, match="did not start") as raised:
        await serve(app, implementation)
    return f"{capsys.readouterr().err}\n{raised.value.__cause__}"


@each_host
@pytest.mark.parametrize("mistake", MISTAKES)
async def test_a_configuration_error_ends_the_start_up(
    mistake: str, mount: Callable[..., ASGIApp], serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    options, message = MISTAKES[mistake]
    said = await refusal(mount(**options), "uvicorn", serve, capsys)
    assert said.count("asgi_realtime: ") == 1
    assert message in said
    assert "Traceback" not in said
    assert SECRET not in said


@each_host
@each_server
@pytest.mark.parametrize("exception", EXCEPTIONS)
async def test_an_exception_of_the_host_is_shown_with_its_traceback(
    exception: str,
    implementation: Implementation,
    mount: Callable[..., ASGIApp],
    serve: Serve,
    capsys: pytest.CaptureFixture[str],
) -> None:
    said = await refusal(mount(**EXCEPTIONS[exception]), implementation, serve, capsys)
    assert exception in said
    assert "KeyError: 'DATABASE_URL'" in said or "SystemExit: DATABASE_URL" in said or "CancelledError" in said
    assert "unsupported" not in said
    assert said.count("Traceback") == 1


@each_server
@pytest.mark.parametrize("mistake", ["a class in the list", "misspelt: gateway", "settings: a dict"])
async def test_every_server_shows_the_same_configuration_error(
    mistake: str, implementation: Implementation, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    options, message = MISTAKES[mistake]
    assert message in await refusal(added(fastapi)(**options), implementation, serve, capsys)


def positional(app: Any) -> ASGIApp:
    app.add_middleware(RealtimeMiddleware, [Board()])
    return fastapi() if app is None else app


def instance(app: Any) -> ASGIApp:
    app.add_middleware(RealtimeMiddleware(app, settings=SETTINGS))
    return fastapi() if app is None else app


def without_middleware(app: Any) -> ASGIApp:
    app.add_middleware(Realtime, settings=SETTINGS)
    return fastapi() if app is None else app


WRONG_APPS: dict[str, tuple[Callable[[Any], Any], str]] = {
    "gateways by position": (positional, "keywords only: write gateways=[...]"),
    "an instance": (instance, "takes the class, not an instance"),
    "Realtime": (without_middleware, "Realtime is neither a middleware nor an app"),
    "Flask": (lambda app: RealtimeMiddleware(Flask("x"), settings=SETTINGS), "a2wsgi"),  # type: ignore[arg-type]
    "Flask's wsgi_app": (lambda app: RealtimeMiddleware(Flask("x").wsgi_app, settings=SETTINGS), "a2wsgi"),  # type: ignore[arg-type]
    "None": (lambda app: RealtimeMiddleware(None, settings=SETTINGS), "NoneType is not one"),  # type: ignore[arg-type]
    "a class": (lambda app: RealtimeMiddleware(FastAPI, settings=SETTINGS), "the class FastAPI"),  # type: ignore[arg-type]
    "a Realtime": (lambda app: RealtimeMiddleware(Realtime(settings=SETTINGS)), "wraps a Realtime, not an app"),
    "a Realtime is served": (lambda app: Realtime(settings=SETTINGS), "Realtime is neither a middleware nor an app"),
    "a gateway is served": (lambda app: Board(), "Board is a gateway, and neither an app nor a route; write app.add_"),
    "a gateway": (lambda app: RealtimeMiddleware(Board()), "wraps a Board, not an app"),  # type: ignore[arg-type]
    "a text": (lambda app: RealtimeMiddleware("main:app"), "str is not one"),  # type: ignore[arg-type]
}


@each_server
@pytest.mark.parametrize("mistake", WRONG_APPS)
async def test_misplaced_arguments_are_named_in_the_error(
    mistake: str, implementation: Implementation, serve: Serve, capsys: pytest.CaptureFixture[str]
) -> None:
    make, message = WRONG_APPS[mistake]
    assert message in await refusal(make(fastapi()), implementation, serve, capsys)


def mounted(gateway: Any) -> ASGIApp:
    app = FastAPI()
    app.mount("/x", gateway)
    return app


PLACES: dict[str, Callable[[Any], ASGIApp]] = {
    "FastAPI.mount": mounted,
    "Starlette.mount": lambda gateway: Starlette(routes=[Mount("/x", app=gateway)]),
    "WebSocketRoute": lambda gateway: Starlette(routes=[WebSocketRoute("/x", gateway), Route("/x", gateway)]),
}


@pytest.mark.parametrize("kind", [SocketIOGateway, WebSocketGateway])
@pytest.mark.parametrize("given", ["instance", "class"])
@pytest.mark.parametrize("place", PLACES)
async def test_a_gateway_in_the_place_of_an_app_says_once_what_to_write(
    place: str, given: str, kind: type, serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = type(
        "Feed", (kind,), {"__module__": __name__}
    )  # a new class for each test, because the line is logged once for each class
    app = PLACES[place](gateway("/x") if given == "instance" else gateway)
    server = await serve(app)
    async with httpx.AsyncClient(base_url=server.url) as client:
        statuses = [(await client.get("/x", follow_redirects=True)).status_code for _ in range(3)]
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(f"{server.url.replace('http', 'ws')}/x?token=secret")
    assert statuses == [500] * 3
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR]
    assert said == [
        "asgi_realtime: Feed is a gateway, and neither an app nor a route; write "
        "app.add_middleware(RealtimeMiddleware, gateways=[Feed(...)])"
    ]
    assert "secret" not in caplog.text


class HostMiddleware:
    """An ASGI middleware of the host."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


class Database: ...


class WithDatabase(WebSocketGateway):
    def __init__(self, database: Database, path: str = "/x") -> None:
        super().__init__(path)
        self.database = database


DECLARATIONS: dict[str, Callable[[Any], object]] = {
    "websocket": lambda gateway: FastAPI().websocket("/x")(gateway),
    "get": lambda gateway: FastAPI().get("/x")(gateway),
    "add_api_route": lambda gateway: FastAPI().add_api_route("/x", gateway),
    "Depends": lambda gateway: FastAPI(dependencies=[Depends(gateway)]).get("/x")(health),
    "include_router": lambda gateway: FastAPI().include_router(gateway),
    "include_router of a router": lambda gateway: APIRouter().include_router(gateway),
}


@pytest.mark.parametrize(
    "gateway",
    [SocketIOGateway("/x"), SocketIOGateway, WebSocketGateway, Board, WithDatabase],
    ids=["instance", "class", "class with a required argument", "subclass", "subclass with arguments of its own"],
)
@pytest.mark.parametrize("declaration", DECLARATIONS)
def test_a_gateway_as_a_route_or_router_of_fastapi_is_refused_when_it_is_declared(
    declaration: str, gateway: Any
) -> None:
    error: type[Exception] = ConfigurationError
    message = r"\w+ is a gateway, and neither an app nor a route; write app.add_"
    if declaration.startswith("include_router"):
        with pytest.raises(AttributeError) as first:
            APIRouter().include_router(cast("Any", object()))
        if first.value.name == "routes":  # older versions of FastAPI fail themselves
            error, message = AttributeError, "has no attribute 'routes'"
    with pytest.raises(error, match=message):
        DECLARATIONS[declaration](gateway)


def test_other_frameworks_read_the_signature_of_a_gateway_class() -> None:
    assert list(inspect.signature(SocketIOGateway).parameters) == ["namespace", "authenticator", "limits"]
    parameters = inspect.signature(WithDatabase).parameters
    assert list(parameters) == ["database", "path"]
    assert parameters["path"].default == "/x"
    assert typing.get_type_hints(WithDatabase.__init__) == {"database": Database, "path": str, "return": type(None)}
    assert "on_connect" in dict(inspect.getmembers(SocketIOGateway))


@litestar.get("/x")
async def litestar_route() -> None: ...


@pytest.mark.parametrize("others", [[], [HostMiddleware]], ids=["alone", "above another middleware"])
def test_a_list_of_middleware_in_litestar_is_refused(others: list[Any]) -> None:
    middleware: list[Any] = [RealtimeMiddleware, *others]
    with pytest.raises(ConfigurationError, match=r"Litestar's list of middleware.*plugins=\[RealtimePlugin\("):
        litestar.Litestar([litestar_route], middleware=middleware, logging_config=None)


@pytest.mark.parametrize("kind", ["asgi", "wsgi"])
@pytest.mark.parametrize(
    "others", ["", ', "django.middleware.common.CommonMiddleware"'], ids=["alone", "above another"]
)
def test_the_list_of_middleware_in_django_is_refused(others: str, kind: str) -> None:
    program = f"""
from django.conf import settings
settings.configure(MIDDLEWARE=["asgi_realtime.RealtimeMiddleware"{others}], ROOT_URLCONF="urls", SECRET_KEY="x")
import django
django.setup()
from django.core.{kind} import get_{kind}_application
get_{kind}_application()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert "ConfigurationError: RealtimeMiddleware is in Django's list MIDDLEWARE" in done.stderr, done.stderr


async def test_litestar_is_wrapped_like_any_other_app() -> None:
    host: Any = litestar.Litestar([litestar_route], logging_config=None)
    app = RealtimeMiddleware(HostMiddleware(host), settings=SETTINGS)
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ann")) as socket:
        assert (await client.http.get("/x")).status_code == 200
        await client.broadcaster.broadcast_to_all("said")
        await socket.expect("said")


async def test_handlers_that_a_server_gets_after_mounting_do_not_hide_behind_another_gateway() -> None:
    sio = SocketIOServer()
    app = RealtimeMiddleware(fastapi(), gateways=[Board(), sio], settings=SETTINGS)
    sio.on("said", said)
    with pytest.raises(ConfigurationError, match="'/' is mounted twice"):
        async with LifespanManager(app):
            pass


async def hidden(websocket: WebSocket) -> None: ...


HIDDEN: dict[str, tuple[Callable[[FastAPI], object], str]] = {
    "FastAPI's decorator": (lambda app: app.websocket("/feed")(hidden), "the WebSocket route /feed of the app"),
    "WebSocketRoute": (lambda app: app.router.routes.append(WebSocketRoute("/feed", hidden)), "route /feed of the app"),
    "a mount at Socket.IO's path": (lambda app: app.mount("/socket.io", Starlette()), "the route /socket.io of the"),
    "a route below it": (lambda app: app.get("/socket.io/client.js")(health), "the route /socket.io/client.js of"),
}


@pytest.mark.parametrize("place", ["below another middleware", "in front of the app"])
@pytest.mark.parametrize("route", HIDDEN)
async def test_a_route_that_a_gateway_hides_ends_the_start_up(route: str, place: str) -> None:
    add, message = HIDDEN[route]
    host = FastAPI()
    add(host)
    gateways = [SocketIOGateway("/"), WebSocketGateway("/feed")]
    app: ASGIApp = host
    if place == "in front of the app":
        app = RealtimeMiddleware(host, gateways=gateways, settings=SETTINGS)
    else:
        host.add_middleware(HostMiddleware)
        host.add_middleware(RealtimeMiddleware, gateways=gateways, settings=SETTINGS)
    with pytest.raises(ConfigurationError, match=message):
        async with LifespanManager(app):
            pass


async def test_routes_beside_the_gateways_are_served() -> None:
    host = FastAPI()
    host.websocket("/feed/{name}")(hidden)
    host.get("/feed")(health)
    host.mount("/socket.io", Starlette(routes=[Route("/", health)]))
    app = RealtimeMiddleware(host, gateways=[WebSocketGateway("/feed")], settings=SETTINGS)
    async with RealtimeTestClient(app) as client:
        assert (await client.http.get("/feed")).status_code == 200
        assert (await client.http.get("/socket.io/")).status_code == 200


def test_a_wsgi_server_shows_the_configuration_error() -> None:
    flask = Flask("x")
    middleware = RealtimeMiddleware(flask.wsgi_app, settings=SETTINGS)  # type: ignore[arg-type]
    flask.wsgi_app = middleware  # type: ignore[method-assign, assignment]
    with pytest.raises(ConfigurationError, match="called as a WSGI app"):
        flask.test_client().get("/")


def failing_lifespan() -> Starlette:
    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        NO_VARIABLES["DATABASE_URL"]
        yield

    return Starlette(lifespan=lifespan)


def driven(app: ASGIApp, scope: Scope) -> list[Message]:
    """The messages of an app on an event loop other than asyncio, such as trio."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": f"{scope['type']}.startup"}

    async def send(message: Message) -> None:
        sent.append(message)

    work: Any = app(scope, receive, send)
    with contextlib.suppress(StopIteration, ConfigurationError):
        work.send(None)
    return sent


@each_host
def test_an_event_loop_other_than_asyncio_is_refused(
    mount: Callable[..., ASGIApp], caplog: pytest.LogCaptureFixture
) -> None:
    app = mount()
    (failed,) = driven(app, {"type": "lifespan", "state": {}})
    assert failed["type"] == "lifespan.startup.failed"
    assert "runs on asyncio, not on trio" in failed["message"]
    request = {"type": "http", "method": "GET", "path": "/health", "query_string": b"", "headers": []}
    for _ in range(3):
        assert driven(app, {**request})[0]["status"] == 500
    assert ["not on trio" in record.message for record in caplog.records] == [True]


NO_KEY = Settings()


# The test client of older versions of Starlette leaves the streams of a failed start open.
@pytest.mark.filterwarnings("ignore:Unclosed <MemoryObject:ResourceWarning")
@pytest.mark.parametrize(
    ("app", "error"),
    [
        (added(fastapi)(settings=NO_KEY), ConfigurationError),
        (wrapped(bare)(settings=NO_KEY), ConfigurationError),
        (added(starlette)(gateways=[NeedsVariable("/")]), KeyError),
        (wrapped(bare)(gateways=[NeedsVariable("/")]), KeyError),
        (added(failing_lifespan)(), KeyError),
        (wrapped(failing_lifespan())(), KeyError),
        (instance(fastapi()), ConfigurationError),
    ],
)
async def test_test_clients_raise_what_ends_the_start_up(app: ASGIApp, error: type[Exception]) -> None:
    for _ in range(2):
        with pytest.raises(error):
            async with RealtimeTestClient(app):
                pass
        with pytest.raises(error):
            async with LifespanManager(app):
                pass

    def blocking() -> None:
        with pytest.raises(error), TestClient(app):
            pass

    await anyio.to_thread.run_sync(blocking)
    gc.collect()  # so that the warnings come in this test


def test_type_checkers_report_the_errors() -> None:
    app = fastapi()
    app.add_middleware(RealtimeMiddleware, gateway=[Board()])  # type: ignore[call-arg]
    RealtimeMiddleware(app, setting=SETTINGS)  # type: ignore[call-arg]
    RealtimeMiddleware(app, [Board()])  # type: ignore[call-arg]
    RealtimeMiddleware(app, gateways=Board())  # type: ignore[arg-type]
    RealtimeMiddleware(app, settings={})  # type: ignore[arg-type]


SERVED = """
from fastapi import FastAPI
from asgi_realtime import RealtimeMiddleware, SocketIOGateway

class Board(SocketIOGateway): ...

class NeedsVariable(SocketIOGateway):
    async def on_start(self):
        {}["DATABASE_URL"]

app = FastAPI()
app.get("/health")(lambda: "well")
app.add_middleware(RealtimeMiddleware, MISTAKE)
"""
COMMANDS = {
    "uvicorn, on": ["uvicorn", "served:app", "--port", "0", "--lifespan", "on"],
    "uvicorn, auto": ["uvicorn", "served:app", "--port", "0"],
    "uvicorn, off": ["uvicorn", "served:app", "--port", "0", "--lifespan", "off"],
    "hypercorn": ["hypercorn", "served:app", "--bind", "127.0.0.1:0"],
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("mistake", "message"),
    [("gateway=[Board()]", "write gateways="), ("gateways=[NeedsVariable()]", "KeyError: 'DATABASE_URL'")],
)
def test_a_configuration_error_is_shown_with_and_without_a_lifespan(
    mistake: str, message: str, command: str, tmp_path: Path
) -> None:
    """A server that starts despite the error answers each request with an error, and logs the reason once."""
    (tmp_path / "served.py").write_text(SERVED.replace("MISTAKE", mistake))
    log = tmp_path / "log"
    environment = {**os.environ, "MEW_JWT_SECRET": SECRET, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", *COMMANDS[command]], env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        if "off" in command:
            while (port := re.search(r"running on http://127.0.0.1:(\d+)", log.read_text())) is None:
                assert process.poll() is None, log.read_text()
            for _ in range(3):
                response = httpx.get(f"http://127.0.0.1:{port[1]}/health")
                assert response.status_code == 500
                assert "log has the reason" in response.text
        else:
            process.wait(30)
    finally:
        process.terminate()
        process.wait(30)
    said = log.read_text()
    assert "unsupported" not in said
    assert said.count(message) == 1
