"""Configuration errors reported by constructors: of a gateway, of settings, of a server."""

from __future__ import annotations

import functools
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import socketio
from click.testing import CliRunner
from fastapi import FastAPI
from flask import Flask
from uvicorn.middleware.wsgi import _WSGIMiddleware

from asgi_realtime import (
    ChatGateway,
    ConfigurationError,
    EventsGateway,
    Identity,
    InfraGateway,
    JobsGateway,
    Limits,
    MewGateway,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    get_sync_mew_broadcaster,
)
from asgi_realtime.cli.commands import main
from asgi_realtime.socketio import ASGIApp, AsyncServer
from asgi_realtime.wsgi import get_broadcaster

SECRET = "a secret for tests that is long enough"
SETTINGS = Settings(jwt_secret=SECRET)


def untyped(value: object) -> Any:
    """Hide an argument of a wrong type from type checkers."""
    return value


class Service:
    """A service with the methods of every system."""

    async def rooms_of(self, identity: Identity) -> Any: ...
    async def create_message(self, identity: Identity, message: Any, broadcaster: Any) -> Any: ...
    async def groups_of(self, identity: Identity) -> Any: ...
    async def save_message(self, identity: Identity, message: Any) -> Any: ...
    async def mark_read(self, identity: Identity, chat_id: str) -> Any: ...
    async def may_join(self, identity: Identity, job_id: str) -> Any: ...
    async def last_status(self, job_id: str) -> Any: ...


class Authenticate:
    async def __call__(self, handshake: Any) -> Any: ...


def mounted(gateway: Any) -> Realtime:
    return Realtime(gateways=[gateway], settings=SETTINGS)


MISTAKES: dict[str, tuple[Callable[[], object], str]] = {
    "namespace without a slash": (lambda: SocketIOGateway("chat"), "looks like '/chat'"),
    "namespace None": (lambda: SocketIOGateway(untyped(None)), "not None"),
    "namespace 5": (lambda: SocketIOGateway(untyped(5)), "not 5"),
    "namespace with a query": (lambda: SocketIOGateway("/chat?x=1"), "a namespace looks like"),
    "namespace of a system": (lambda: InfraGateway("infra"), "InfraGateway"),
    "path without a slash": (lambda: WebSocketGateway("chat"), "looks like '/chat'"),
    "path with a slash at its end": (lambda: WebSocketGateway("/chat/"), "without slash or query at its end"),
    "path with a query": (lambda: WebSocketGateway("/chat?x=1"), "without slash or query"),
    "path with a parameter": (lambda: WebSocketGateway("/chat/{room}"), "join its room"),
    "path with Flask's parameter": (lambda: WebSocketGateway("/chat/<room>"), "join its room"),
    "path with Express's parameter": (lambda: WebSocketGateway("/chat/:room"), "join its room"),
    "path with a wildcard": (lambda: WebSocketGateway("/chat/*"), "join its room"),
    "path with an escape": (lambda: WebSocketGateway("/my%20chat"), "write the path without %-escapes"),
    "path None": (lambda: WebSocketGateway(untyped(None)), "not None"),
    "path of a system": (lambda: JobsGateway("ws"), "JobsGateway"),
    "timeout as text": (lambda: WebSocketGateway("/x", auth_timeout=untyped("5")), "must be a finite number"),
    "query_token as text": (lambda: WebSocketGateway("/x", query_token=untyped("no")), "query_token must be True or"),
    "auth_frame None": (lambda: WebSocketGateway("/x", auth_frame=untyped(None)), "auth_frame must be True or False"),
    "limits as a dict": (lambda: SocketIOGateway("/", limits=untyped({})), "write limits=Limits(message_bytes=...)"),
    "limits as the class": (lambda: WebSocketGateway("/x", limits=untyped(Limits)), "write limits=Limits("),
    "authenticator as text": (lambda: mounted(SocketIOGateway(authenticator=untyped("jwt"))), "must be a function"),
    "authenticator as a class": (
        lambda: mounted(WebSocketGateway("/x", authenticator=untyped(Authenticate))),
        "authenticator is the class Authenticate; pass an instance",
    ),
    "authenticator False": (lambda: mounted(SocketIOGateway(authenticator=untyped(False))), "must be a function"),
    "authenticator without a parameter": (
        lambda: mounted(SocketIOGateway(authenticator=untyped(lambda: None))),
        "is called with (handshake)",
    ),
    **{
        f"service of {kind.__name__} as {name}": (functools.partial(untyped(kind), service=service), message)
        for kind in (MewGateway, ChatGateway, JobsGateway)
        for name, service, message in (
            ("the class", Service, "service= is the class Service; pass an instance: Service(...)"),
            ("an object without methods", object(), "object."),
        )
    },
    "service None": (lambda: MewGateway(service=untyped(None)), "rooms_of is missing"),
    "hook as text": (lambda: EventsGateway(may_join=untyped("yes")), "must be a function"),
    "ping_interval as text": (
        lambda: Settings(ping_interval=untyped("25")),
        "MEW_PING_INTERVAL must be a number, not str",
    ),
    "ping_interval True": (lambda: Settings(ping_interval=True), "not bool"),
    "dev as text": (lambda: Settings(dev=untyped("false")), "MEW_DEV must be True or False, not str"),
    "history_size as a float": (
        lambda: Settings(history_size=untyped(10.5)),
        "MEW_HISTORY_SIZE must be a whole number",
    ),
    "secret as bytes": (
        lambda: Settings(jwt_secret=untyped(SECRET.encode())),
        "MEW_JWT_SECRET must be text, not bytes",
    ),
    "public key as a path": (
        lambda: Settings(jwt_public_key=untyped(Path("key.pem"))),
        "MEW_JWT_PUBLIC_KEY must be text",
    ),
    "path None in settings": (
        lambda: Settings(socketio_path=untyped(None)),
        "MEW_SOCKETIO_PATH must be text, not NoneType",
    ),
    "origins as text": (
        lambda: Settings(cors_origins=untyped("https://a.example")),
        "MEW_CORS_ORIGINS must be a tuple",
    ),
    "origins of numbers": (lambda: Settings(cors_origins=untyped([1])), "MEW_CORS_ORIGINS must be a tuple of texts"),
    "transports None": (lambda: Settings(transports=untyped(None)), "MEW_TRANSPORTS must be a tuple of texts"),
    "limits of settings as a dict": (
        lambda: Settings(limits=untyped({"message_bytes": 1})),
        "Settings(limits=...) must be a Limits object, not dict",
    ),
    "limits of settings as the class": (lambda: Settings(limits=untyped(Limits)), "not the class Limits"),
    "message_bytes as text": (
        lambda: Limits(message_bytes=untyped("1")),
        "MEW_MESSAGE_BYTES must be a whole number, not str",
    ),
    "event_rate None": (lambda: Limits(event_rate=untyped(None)), "MEW_EVENT_RATE must be a number, not NoneType"),
    "ASGIApp: python-socketio's server": (
        lambda: ASGIApp(untyped(socketio.AsyncServer(async_mode="asgi"))),
        "SocketIOServer, not a AsyncServer",
    ),
    "ASGIApp: the class": (lambda: ASGIApp(untyped(AsyncServer)), "not the class SocketIOServer"),
    "ASGIApp: an app first": (lambda: ASGIApp(untyped(FastAPI())), "not a FastAPI"),
    "ASGIApp: a WSGI app": (lambda: ASGIApp(AsyncServer(), untyped(Flask("x"))), "ASGIApp(a2wsgi.WSGIMiddleware(app)"),
    "ASGIApp: a path": (lambda: ASGIApp(AsyncServer(), socketio_path=untyped(5)), "socketio_path"),
    "ASGIApp: files": (lambda: ASGIApp(AsyncServer(), static_files=untyped(["x"])), "static_files"),
    "ASGIApp: a hook": (lambda: ASGIApp(AsyncServer(), on_startup=untyped("x")), "on_startup"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_configuration_error_is_named(mistake: str) -> None:
    make, message = MISTAKES[mistake]
    with pytest.raises(ConfigurationError) as raised:
        make()
    assert message in str(raised.value)
    assert SECRET not in str(raised.value)


def test_valid_arguments_are_accepted() -> None:
    assert Settings(cors_origins=untyped(["https://a.example"])).cors_origins == ("https://a.example",)
    assert Settings(ping_interval=25).ping_interval == 25
    assert Settings(jwt_audience=None).jwt_audience is None
    for kind in (MewGateway, ChatGateway, JobsGateway):
        mounted(kind(service=Service()))
    mounted(SocketIOGateway(authenticator=Authenticate()))
    assert Realtime(gateways=(WebSocketGateway("/chat"),), settings=SETTINGS).paths == ["/chat"]
    assert Realtime(gateways=[], settings=SETTINGS).paths == []


# Before mounting


class Chat(SocketIOGateway):
    def __init__(self) -> None:
        self.on("hello")(print)
        super().__init__("/chat")


@pytest.mark.parametrize("name", ["broadcaster", "limits", "context", "origins", "dialect"])
@pytest.mark.parametrize("gateway", [SocketIOGateway("/a"), WebSocketGateway("/b"), EventsGateway()])
def test_attributes_of_an_unmounted_gateway_raise_an_error_that_says_so(gateway: Any, name: str) -> None:
    with pytest.raises(RuntimeError, match=r"not mounted yet; pass it to RealtimeMiddleware\(gateways=\[\.\.\.\]\)"):
        getattr(gateway, name)


def test_a_gateway_without_the_call_of_super_init_is_refused() -> None:
    with pytest.raises(RuntimeError, match=r"Chat.__init__ must call super\(\).__init__\(...\)"):
        Chat()
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        getattr(SocketIOGateway("/a"), "nothing")  # noqa: B009


# The environment


def warnings_of(caplog: pytest.LogCaptureFixture, **environ: str) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        Settings.from_env({"MEW_JWT_SECRET": SECRET, **environ})
    return [record.message for record in caplog.records]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MEW_JWT_SECRETT", "MEW_JWT_SECRET"),
        ("MEW_JWT_SECERT", "MEW_JWT_SECRET"),
        ("mew_ping_interval", "MEW_PING_INTERVAL"),
        ("MEW_CORS_ORIGIN", "MEW_CORS_ORIGINS"),
        ("MEW_MESSAGE_BYTE", "MEW_MESSAGE_BYTES"),
    ],
)
def test_a_misspelt_variable_logs_a_warning(name: str, meant: str, caplog: pytest.LogCaptureFixture) -> None:
    (message,) = warnings_of(caplog, **{name: "a value that stays out of the log"})
    assert message.endswith(f"ignores: {name} (did you mean {meant}?)")


@pytest.mark.parametrize("name", ["MEW_JWT_SECRET", "MEW_ADMIN_SECRET", "WS_AUTH_TOKEN"])
@pytest.mark.parametrize("text", [f'"{SECRET}"', f"'{SECRET}'", f" {SECRET}", f"{SECRET}\n"])
def test_a_secret_in_quotes_or_with_spaces_around_it_logs_a_warning(
    text: str, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert warnings_of(caplog, **{name: text}) == [f"the quotes or spaces at the ends of {name} are part of it"]
    assert warnings_of(caplog, **{name: f"{SECRET}' \"{SECRET}"}) == []


def test_variables_of_other_programs_log_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    assert warnings_of(caplog, PATH="/bin", CORS_ORIGIN="http://a.example", MEWL_X="1") == []
    (message,) = warnings_of(caplog, MEW_NOTHING_LIKE_IT="1", MEW_LIMITS="2")
    assert message.endswith("ignores: MEW_NOTHING_LIKE_IT, MEW_LIMITS")


# WSGI and the command line


def test_get_broadcaster_takes_only_a_wsgi_environment() -> None:
    for get in (get_broadcaster, get_sync_mew_broadcaster):
        assert get({}) is None
        with pytest.raises(TypeError, match=r"request\.environ"):
            get(untyped(object()))


def test_an_adapter_that_hides_the_broadcaster_logs_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), pytest.warns(DeprecationWarning, match="a2wsgi"):
        RealtimeMiddleware(untyped(_WSGIMiddleware(untyped(Flask("x").wsgi_app))), settings=SETTINGS)
    assert "use a2wsgi.WSGIMiddleware" in caplog.text


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("wrong", "write MODULE:GATEWAY"),
        ("app/gateways.py:Board", "write MODULE:GATEWAY"),
        ("nowhere.at_all:Board", "there is no module nowhere"),
        ("mine:Nothing", "mine has no Nothing; its gateways are: Board, board, forgot"),
        ("mine:app", "is a dict, not a gateway"),
        ("mine:Other", "is the class Other, not a gateway"),
        ("mine:forgot", "Forgot.__init__ does not call super()"),
    ],
)
def test_the_command_line_prints_configuration_errors(
    name: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from asgi_realtime import SocketIOGateway\n"
        "class Board(SocketIOGateway): ...\n"
        "class Forgot(Board):\n    def __init__(self): pass\n"
        "class Other: ...\n"
        "board, app = Board(), {}\n"
        "forgot = Forgot()\ndel Forgot\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    done = CliRunner().invoke(main, ["types", name])
    assert done.exit_code == 2
    assert message in " ".join(done.output.split())


def test_a_module_that_cannot_be_imported_is_shown_with_its_exception(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    for name, source, kind in (
        ("needs_variable", "import os; os.environ['NO_SUCH_VARIABLE']", KeyError),
        ("needs_module", "import no_such_module", ModuleNotFoundError),
    ):
        (tmp_path / f"{name}.py").write_text(source)
        assert isinstance(CliRunner().invoke(main, ["types", f"{name}:Board"]).exception, kind)
