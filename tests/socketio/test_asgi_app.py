"""ASGIApp: the server as an application, static files, the other app, the lifespan, and the options."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgi_lifespan import LifespanManager
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from starlette.types import Message, Receive, Scope, Send

from asgi_realtime import ConfigurationError, Settings, socketio
from asgi_realtime.errors import InvalidMessage
from asgi_realtime.socketio.environ import wsgi_environ
from asgi_realtime.socketio.handlers import NOT_HANDLED, Handlers
from asgi_realtime.socketio.namespace import SyncSocketIOServer
from asgi_realtime.socketio.options import settings_with
from asgi_realtime.socketio.server import SocketIOServer
from asgi_realtime.socketio.static_files import StaticFiles
from asgi_realtime.values.handshake import Handshake
from tests.support.node_client import ConnectRefused, Node
from tests.support.servers import Serve


@pytest.fixture
def site(tmp_path: Path) -> Path:
    (tmp_path / "public" / "css").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("secret")
    (tmp_path / "public" / "index.html").write_text("<h1>index</h1>")
    (tmp_path / "public" / "css" / "style.css").write_text("p {}")
    (tmp_path / "page.html").write_text("<h1>page</h1>")
    return tmp_path


def test_static_files_are_found_below_their_folders_only(site: Path) -> None:
    files = StaticFiles(
        {
            "/": f"{site}/page.html",
            "/plain": {"filename": f"{site}/page.html", "content_type": "text/plain"},
            "/static": f"{site}/public",
        }
    )
    assert files.find("/") == (f"{site}/page.html", "text/html")
    assert files.find("/plain") == (f"{site}/page.html", "text/plain")
    assert files.find("/static/") == (f"{site}/public/index.html", "text/html")
    assert files.find("/static/css/style.css") == (f"{site}/public/css/style.css", "text/css")
    for path in (
        "/static",
        "/static/css",
        "/static/none",
        "/page.html",
        "/static/../secret.txt",
        "/static/..",
        "/\0",
    ):
        assert files.find(path) is None


def test_static_files_may_have_a_separate_index(site: Path) -> None:
    files = StaticFiles({"/": f"{site}/public/", "": {"filename": "css/style.css", "content_type": "text/plain"}})
    assert files.find("/") == (f"{site}/public/css/style.css", "text/plain")
    assert files.find("/index.html") == (f"{site}/public/index.html", "text/html")


async def test_the_server_precedes_static_files_and_these_precede_the_other_app(
    serve: Serve, node: Node, site: Path
) -> None:
    async def rest(request: Request) -> PlainTextResponse:
        return PlainTextResponse("the other app")

    other = Starlette(routes=[Route("/", rest), Route("/rest", rest)])
    app = socketio.ASGIApp(SocketIOServer(), other, static_files={"/": f"{site}/page.html"})
    server = await serve(app)
    await node.connect(server.url)
    async with httpx.AsyncClient(base_url=server.url) as http:
        assert (await http.get("/")).text == "<h1>page</h1>"
        assert (await http.get("/rest")).text == "the other app"
        assert (await http.get("/none")).status_code == 404
    alone = await serve(socketio.ASGIApp(SocketIOServer()))
    async with httpx.AsyncClient(base_url=alone.url) as http:
        assert (await http.get("/")).status_code == 404


@pytest.mark.parametrize(
    ("path", "client_path"),
    [("socket.io", "/socket.io"), ("/deep/path/", "/deep/path"), (None, "/anything")],
)
async def test_the_socketio_path_is_configurable(serve: Serve, node: Node, path: str | None, client_path: str) -> None:
    server = await serve(socketio.ASGIApp(SocketIOServer(), socketio_path=path))
    await (await node.connect(server.url, path=client_path)).upgraded()


@pytest.mark.parametrize("path", ["socket.io", "/live/socket.io"])
async def test_an_app_mounted_in_another_one_is_served(serve: Serve, node: Node, path: str) -> None:
    outer = Starlette(routes=[Mount("/live", socketio.ASGIApp(SocketIOServer(), socketio_path=path))])
    server = await serve(outer)
    await (await node.connect(server.url, path="/live/socket.io")).upgraded()


async def test_hooks_run_around_the_other_apps_lifespan() -> None:
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        order.append("other starts")
        yield
        order.append("other stops")

    async def on_startup() -> None:
        order.append("startup")

    def on_shutdown() -> None:
        order.append("shutdown")

    app = socketio.ASGIApp(
        SocketIOServer(), Starlette(lifespan=lifespan), on_startup=on_startup, on_shutdown=on_shutdown
    )
    async with LifespanManager(app):
        assert order == ["startup", "other starts"]
    assert order == ["startup", "other starts", "other stops", "shutdown"]


@pytest.mark.parametrize("supported", [True, False])
async def test_hooks_run_if_the_other_app_has_no_lifespan(supported: bool) -> None:
    order: list[str] = []

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        raise TypeError("http only")

    app = socketio.ASGIApp(
        SocketIOServer(),
        None if supported else bare,
        on_startup=lambda: order.append("startup"),
        on_shutdown=lambda: order.append("shutdown"),
    )
    async with LifespanManager(app):
        assert order == ["startup"]
    assert order == ["startup", "shutdown"]


@pytest.mark.parametrize("error", [KeyError, SystemExit, asyncio.CancelledError])
@pytest.mark.parametrize("other", [None, Starlette()])
async def test_failing_hooks_are_reported_to_the_server(other: Starlette | None, error: type[BaseException]) -> None:
    def fails() -> None:
        raise error("the reason")

    for hook, kind in (("on_startup", "lifespan.startup.failed"), ("on_shutdown", "lifespan.shutdown.failed")):
        events = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        answers: list[Message] = []

        async def receive(events: Iterator[Message] = events) -> Message:
            return next(events)

        async def send(message: Message, answers: list[Message] = answers) -> None:
            answers.append(message)

        app = socketio.ASGIApp(SocketIOServer(), other, **{hook: fails})  # type: ignore[arg-type]
        # What would end the task of the server is reported, but not raised.
        raised = pytest.raises(KeyError, match="the reason") if error is KeyError else contextlib.nullcontext()
        with raised:
            await app({"type": "lifespan"}, receive, send)
        assert answers[-1]["type"] == kind and "the reason" in answers[-1]["message"]


async def test_only_allowed_origins_are_served(serve: Serve, node: Node) -> None:
    def origin(name: str) -> dict[str, Any]:
        return {"headers": {"Origin": name}, "transports": ["websocket"]}

    same = await serve(socketio.ASGIApp(SocketIOServer()))
    await node.connect(same.url, **origin(same.url))
    listed = await serve(
        socketio.ASGIApp(SocketIOServer(cors_allowed_origins=["http://*.a.example", "http://b.example/", "file://"]))
    )
    for name in ("http://b.example", "http://x.a.example", "file://"):
        await node.connect(listed.url, **origin(name))
    anyone = await serve(socketio.ASGIApp(SocketIOServer(cors_allowed_origins="*")))
    await node.connect(anyone.url, **origin("http://evil.example"))
    for server in (same, listed):
        with pytest.raises(ConnectRefused):
            await node.connect(server.url, **origin("http://evil.example"))


def test_an_empty_list_of_origins_allows_no_foreign_origin(caplog: pytest.LogCaptureFixture) -> None:
    server = SocketIOServer(cors_allowed_origins=[])
    assert "does not turn the origin check off" in caplog.text
    assert settings_with(Settings(), server.options, None).cors_origins == ()


def test_options_become_settings() -> None:
    server = SocketIOServer(
        async_mode="asgi",
        ping_interval=(3, 1),
        ping_timeout=2,
        max_http_buffer_size=500,
        cors_allowed_origins="https://a.example/",
        transports="websocket",
        async_handlers=True,
        always_connect=False,
        http_compression=True,
        compression_threshold=1,
        monitor_clients=True,
        cors_credentials=True,
        cookie=None,
        client_manager=None,
        json=None,
        serializer="default",
        allow_upgrades=True,
    )
    settings = settings_with(Settings(), server.options, "/live")
    assert settings == Settings(
        ping_interval=4.0,
        ping_timeout=2.0,
        cors_origins=("https://a.example/",),  # read as https://a.example
        transports=("websocket",),
        socketio_path="/live",
        limits=settings.limits,
    )
    assert settings.limits.message_bytes == 500
    assert settings_with(Settings(), SocketIOServer().options, None) == Settings()


@pytest.mark.parametrize(
    "options",
    [
        {"async_mode": "tornado"},
        {"client_manager": object()},
        {"json": logging},
        {"serializer": "msgpack"},
        {"cookie": "io"},
        {"allow_upgrades": False},
        {"cors_allowed_origins": lambda origin: True},
    ],
)
def test_options_that_are_not_supported(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(options))):
        SocketIOServer(**options)


def test_misspelt_options_and_wrong_values_are_refused() -> None:
    with pytest.raises(TypeError, match="ping_intervall"):
        SocketIOServer(ping_intervall=1)  # type: ignore[call-arg]
    with pytest.raises(ConfigurationError, match="MEW_PING_INTERVAL"):
        socketio.ASGIApp(SocketIOServer(ping_interval=0))


def test_the_logger_options_are_accepted(caplog: pytest.LogCaptureFixture) -> None:
    mine = logging.getLogger("mine")
    assert SocketIOServer(logger=mine, engineio_logger=mine).logger is mine
    logger = logging.getLogger("asgi_realtime.socketio")
    try:
        SocketIOServer(logger=True)
        SocketIOServer(logger=True)
        assert logger.level == logging.INFO and len(logger.handlers) == 1
    finally:
        logger.setLevel(logging.NOTSET)
        logger.handlers.clear()


def test_each_line_is_written_once_if_both_loggers_are_on(capfd: pytest.CaptureFixture[str]) -> None:
    loggers = [logging.getLogger("asgi_realtime"), logging.getLogger("asgi_realtime.socketio")]
    try:
        SocketIOServer(logger=True, engineio_logger=True).logger.info("a line")
        loggers[0].info("another line")
    finally:
        for logger in loggers:
            logger.setLevel(logging.NOTSET)
            logger.handlers.clear()
    assert capfd.readouterr().err == "a line\nanother line\n"


async def test_before_mounting_there_are_no_clients() -> None:
    sio = SocketIOServer()
    await sio.emit("x", 1)
    assert sio.rooms("x") == [] and sio.get_environ("x") is None
    await sio.leave_room("x", "room")
    await sio.close_room("room")
    await sio.disconnect("x")
    task = sio.start_background_task(sio.sleep, 3600)
    await sio.shutdown()
    assert task.cancelled()


async def test_mounted_but_not_started_there_are_no_clients(caplog: pytest.LogCaptureFixture) -> None:
    # As below a Mount of Starlette, which forwards no lifespan: the first request starts the server.
    sio = SocketIOServer()
    socketio.ASGIApp(sio)
    await sio.emit("x", 1)
    assert "before the server has started: x" in caplog.text
    with pytest.raises(RuntimeError, match="not running"):
        SyncSocketIOServer(sio).emit("x")


def test_environ_has_the_wsgi_keys() -> None:
    handshake = Handshake(
        gateway="/",
        path="/socket.io/",
        headers={
            "host": "a.example",
            "x-forwarded-proto": "https, http",
            "content-type": "text/plain",
            "cookie": "a=b",
        },
        query={"EIO": "4"},
    )
    environ = wsgi_environ(handshake)
    assert environ["wsgi.url_scheme"] == "https"
    assert (environ["HTTP_HOST"], environ["HTTP_COOKIE"]) == ("a.example", "a=b")
    assert environ["CONTENT_TYPE"] == "text/plain" and "HTTP_CONTENT_TYPE" not in environ
    assert environ["RAW_URI"] == "/socket.io/?EIO=4"
    assert environ["asgi.scope"]["client"] is None
    assert environ["asgi.scope"]["type"] == "http"


async def test_handlers_get_as_many_arguments_as_they_take() -> None:
    handlers = Handlers()
    handlers.add("/", "connect", lambda sid, environ: (sid, environ))
    assert await handlers.trigger("connect", "/", "sid", {}, None) == ("sid", {})
    handlers.add("/", "connect", lambda *args: args)
    assert await handlers.trigger("connect", "/", "sid", {}, None) == ("sid", {}, None)
    handlers.add("/", "disconnect", lambda sid: sid)
    assert await handlers.trigger("disconnect", "/", "sid", "reason") == "sid"
    handlers.add("*", "*", lambda *args: args)
    assert await handlers.trigger("connect", "/other", "sid") is NOT_HANDLED
    assert await handlers.trigger("event", "/other", "sid") == ("event", "/other", "sid")
    handlers.add("/", "event", lambda sid: sid)
    with pytest.raises(InvalidMessage, match="too many"):
        await handlers.trigger("event", "/", "sid", "one too many")
    assert handlers.namespaces == {"/"}
