"""HTTP errors of services that are shared with REST routes become refusals, in every kind of host code."""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import blacksheep.exceptions
import falcon
import fastapi
import litestar.exceptions
import pytest
import sanic.exceptions
import socketio
import werkzeug.exceptions
from fastapi import HTTPException
from fastapi.exceptions import RequestValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.exceptions import WebSocketException

from asgi_realtime import (
    ChatGateway,
    Connection,
    Disconnect,
    EventsGateway,
    Handshake,
    Identity,
    JobsGateway,
    MewGateway,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    SocketIOServer,
    UserRooms,
    WebSocketGateway,
    on,
)
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.runtime.http_errors import refusal_of
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from asgi_realtime.values.ids import UserId
from tests.support.servers import Serve

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", ws_auth_token="a token that clients share")
EXPECTED = {
    400: "INVALID_MESSAGE",
    401: "UNAUTHORIZED",
    402: "REFUSED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    410: "NOT_FOUND",
    413: "TOO_LARGE",
    418: "REFUSED",
    422: "INVALID_MESSAGE",
    429: "RATE_LIMITED",
    499: "REFUSED",
}


@asynccontextmanager
async def running(*gateways: Any) -> AsyncIterator[RealtimeTestClient]:
    app = RealtimeMiddleware(Starlette(), gateways=list(gateways), settings=SETTINGS)
    async with RealtimeTestClient(app) as client:
        yield client


@pytest.mark.parametrize("kind", [HTTPException, StarletteHTTPException, type("Own", (HTTPException,), {})])
@pytest.mark.parametrize("status", EXPECTED)
def test_each_status_has_its_code(kind: Callable[..., Exception], status: int) -> None:
    meant = refusal_of(kind(status, "what the client reads"))
    assert isinstance(meant, Refusal)
    assert (meant.reply_code, meant.message) == (EXPECTED[status], "what the client reads")


@pytest.mark.parametrize("status", [100, 200, 307, 500, 503, 599])
def test_a_status_that_is_not_a_refusal_is_a_failure(status: int) -> None:
    assert refusal_of(HTTPException(status, "something about our insides")) is None


@pytest.mark.parametrize(("status", "phrase"), [(404, "Not Found"), (499, "refused")])
@pytest.mark.parametrize("detail", [{"secret": 1}, ["a"], 5, "", None])
def test_a_detail_that_is_not_text_is_not_sent(status: int, phrase: str, detail: Any) -> None:
    error = HTTPException(status, "")
    error.detail = detail
    meant = refusal_of(error)
    assert isinstance(meant, Refusal)
    assert meant.message == phrase


def test_errors_of_other_frameworks_have_their_codes() -> None:
    django = importlib.import_module("django.core.exceptions")
    http = importlib.import_module("django.http")
    for error, code, message in (
        (werkzeug.exceptions.NotFound("no such thing"), "NOT_FOUND", "no such thing"),
        (werkzeug.exceptions.TooManyRequests(), "RATE_LIMITED", None),
        (litestar.exceptions.NotFoundException("no such thing"), "NOT_FOUND", "no such thing"),
        (litestar.exceptions.PermissionDeniedException(), "FORBIDDEN", "Forbidden"),
        (falcon.HTTPConflict(title="internals", description="it exists"), "CONFLICT", "it exists"),
        (falcon.HTTPUnauthorized(), "UNAUTHORIZED", "Unauthorized"),
        (blacksheep.exceptions.Forbidden("not yours"), "FORBIDDEN", "not yours"),
        (sanic.exceptions.NotFound("no such thing"), "NOT_FOUND", "no such thing"),
        (django.PermissionDenied("internals"), "FORBIDDEN", "Forbidden"),
        (django.DisallowedHost("internals"), "INVALID_MESSAGE", "Bad Request"),
        (http.Http404("internals"), "NOT_FOUND", "Not Found"),
        (RequestValidationError([{"loc": ("body",), "msg": "internals"}]), "INVALID_MESSAGE", None),
    ):
        meant = refusal_of(error)
        assert isinstance(meant, Refusal), error
        assert meant.reply_code == code
        assert "internals" not in meant.message
        assert message is None or meant.message == message
    for failure in (
        werkzeug.exceptions.InternalServerError(),
        litestar.exceptions.InternalServerException("internals"),
        falcon.HTTPServiceUnavailable(description="internals"),
        blacksheep.exceptions.HTTPException(500, "internals"),
        sanic.exceptions.ServerError("internals"),
        sanic.exceptions.SanicException("internals"),
    ):
        assert refusal_of(failure) is None, failure
    assert refusal_of(werkzeug.exceptions.HTTPException(response=werkzeug.Response("own"))) is None


def test_websocket_exceptions_end_the_connection() -> None:
    for kind in (WebSocketException, fastapi.WebSocketException):
        meant = refusal_of(kind(4001, "enough"))
        assert isinstance(meant, Disconnect)
        assert (meant.code, meant.reason) == (4001, "enough")


@pytest.mark.parametrize(
    "error",
    [
        *(LookupError("x"), TimeoutError(), ValueError(404), KeyboardInterrupt()),
        *(WebSocketException(1006), WebSocketException(99, "no code for the wire")),
    ],
)
def test_other_errors_are_failures(error: BaseException) -> None:
    assert refusal_of(error) is None


# Every place that runs host code


class Host:
    """A gateway whose methods raise the exception that a test sets, in the method that it sets."""

    failure: Exception = RuntimeError("a test names one")
    where = "nowhere"

    def _raise(self, where: str) -> None:
        if self.where == where:
            raise self.failure

    async def authenticate(self, handshake: Handshake) -> Identity:
        self._raise("authenticator")
        auth = handshake.auth or {}
        if auth.get("token") == "newer":
            self._raise("refresh")
        return Identity(user_id=UserId("ann"))

    async def on_connect(self, connection: Connection) -> None:
        self._raise("on_connect")

    @on("async")
    async def handle(self) -> None:
        self._raise("async")

    @on("sync")
    def handle_in_a_thread(self) -> None:
        self._raise("sync")

    @on("join")
    async def enter(self, connection: Connection) -> None:
        async def question() -> bool:
            self._raise("join")
            return True

        await connection.join("room", allowed=question)


class SocketIOHost(Host, SocketIOGateway):
    def __init__(self) -> None:
        super().__init__("/", authenticator=self.authenticate)


class JSONHost(Host, WebSocketGateway):
    def __init__(self) -> None:
        super().__init__("/json", authenticator=self.authenticate)


HOSTS: list[type[Any]] = [SocketIOHost, JSONHost]


@pytest.mark.parametrize("kind", HOSTS)
@pytest.mark.parametrize("status", [401, 403, 404, 422, 429])
@pytest.mark.parametrize("where", ["async", "sync", "join", "refresh"])
async def test_an_event_is_refused_and_the_client_stays(
    kind: type[Any], status: int, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = kind()
    host.failure, host.where = HTTPException(status, "in words"), where
    is_json = isinstance(host, WebSocketGateway)
    event = {"refresh": "auth" if is_json else "auth/refresh"}.get(where, where)
    args = [{"token": "newer"}] if where == "refresh" else []
    async with running(host) as client, client.connect(host.name, auth={"token": "first"}) as ann:
        refused = {"code": EXPECTED[status], "message": "in words"}
        await ann.send(event, *args)
        assert (await ann.expect("error")).data == refused
        if not is_json:
            assert await ann.call(event, *args) == refused | {"success": False}
        host.where = "nowhere"
        await ann.send(event, *args)
        await ann.expect_nothing("error")
        assert ann.closed is None
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("kind", HOSTS)
@pytest.mark.parametrize(
    ("status", "close_code"), [(401, 1008), (403, 1008), (404, 1008), (413, 1009), (422, 1008), (429, 1013)]
)
@pytest.mark.parametrize("where", ["authenticator", "on_connect"])
async def test_a_client_is_not_accepted(
    kind: type[Any], status: int, close_code: int, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = kind()
    host.failure, host.where = HTTPException(status, "in words"), where
    async with running(host) as client:
        with pytest.raises(ConnectionRefused, match="in words") as refused:
            async with client.connect(host.name, auth={"token": "first"}):
                pass
    if isinstance(host, WebSocketGateway):
        assert refused.value.closed is not None
        assert refused.value.closed.code == close_code
    else:
        assert refused.value.data == {"code": EXPECTED[status]}
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR or record.exc_info]


@pytest.mark.parametrize("kind", HOSTS)
@pytest.mark.parametrize("where", ["authenticator", "on_connect", "async", "join"])
async def test_a_server_error_is_a_failure_without_details(
    kind: type[Any], where: str, caplog: pytest.LogCaptureFixture
) -> None:
    host = kind()
    host.failure, host.where = HTTPException(503, "db-7 is down"), where
    async with running(host) as client:
        try:
            async with client.connect(host.name, auth={"token": "first"}) as ann:
                await ann.send(where)
                message = (await ann.expect("error")).data["message"]
        except ConnectionRefused as refused:
            message = refused.message
    assert message == "internal error"
    (record,) = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert record.exc_info


@pytest.mark.parametrize("kind", HOSTS)
async def test_a_handler_ends_the_connection(kind: type[Any]) -> None:
    host = kind()
    host.failure, host.where = WebSocketException(1008, "enough"), "async"
    async with running(host) as client, client.connect(host.name, auth={"token": "first"}) as ann:
        await ann.send("async")
        closed = await ann.expect_closed()
        if isinstance(host, WebSocketGateway):
            assert (closed.code, closed.reason) == (1008, "enough")


# The four systems


class Service:
    """The services of all four systems. Any method raises the exception that a test sets."""

    def __init__(self, error: Exception, where: str) -> None:
        self._error = error
        self.where = where

    def _do(self, name: str) -> Any:
        if self.where == name:
            raise self._error
        return ()

    async def rooms_of(self, identity: Identity) -> Any:
        self._do("rooms_of")
        return UserRooms()

    def create_message(self, identity: Identity, message: Any, broadcaster: Any) -> Any:
        return self._do("create_message")

    async def groups_of(self, identity: Identity) -> Any:
        return self._do("groups_of")

    def save_message(self, identity: Identity, message: Any) -> Any:
        return self._do("save_message")

    async def mark_read(self, identity: Identity, chat_id: str) -> Any:
        return self._do("mark_read")

    async def may_join(self, identity: Identity, name: str) -> bool:
        self._do("may_join")
        return True

    def last_status(self, job_id: str) -> Any:
        self._do("last_status")

    async def connected(self, connection: Connection) -> None:
        self._do("connected")


MESSAGE = {"id": "1", "fromId": "ann", "toId": "ben", "chatType": "single", "content": "hello"}


@pytest.mark.parametrize(
    ("status", "where", "sent", "event", "expected"),
    [
        (404, "create_message", {"channelId": "c"}, "message/create", {"message": "Failed to create message"}),
        (403, "save_message", MESSAGE, "message", {"message": "in words", "messageId": "1"}),
        (429, "save_message", MESSAGE, "message", {"message": "消息发送过于频繁", "messageId": "1"}),
        (404, "mark_read", {"chatId": "c"}, "read", {"message": "in words"}),
        (403, "may_join", {"room": "r"}, "join", {"message": "无权访问此房间"}),
        (404, "may_join", {"room": "r"}, "join", {"message": "in words"}),
        (404, "may_join", {"jobId": "j"}, "join_job", {"message": "in words", "code": "FORBIDDEN"}),
        (422, "last_status", {"jobId": "j"}, "join_job", {"message": "in words", "code": "INVALID_MESSAGE"}),
    ],
)
async def test_http_errors_of_the_four_systems_services_become_refusals(
    status: int, where: str, sent: Any, event: str, expected: Any, caplog: pytest.LogCaptureFixture
) -> None:
    service = Service(HTTPException(status, "in words"), where)
    gateways: dict[str, Gateway] = {
        "message/create": MewGateway(service=service),
        "message": ChatGateway(service=service),
        "read": ChatGateway(service=service),
        "join": EventsGateway(may_join=service.may_join),
        "join_job": JobsGateway(service=service),
    }
    gateway = gateways[event]
    async with running(gateway) as client:
        async with client.connect(gateway.name, token=client.token("ann")) as ann:
            if event == "join_job":
                await ann.send_raw('{"type":"join_job","jobId":"j"}')
            else:
                await ann.send(event, sent)
            data = (await ann.expect("error")).data
            assert {name: data.get(name) for name in expected} == expected
            assert ann.closed is None
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize("where", ["rooms_of", "groups_of", "connected"])
async def test_services_called_while_a_client_connects(where: str, caplog: pytest.LogCaptureFixture) -> None:
    service = Service(HTTPException(403, "not you"), where)
    gateways: dict[str, Gateway] = {
        "rooms_of": MewGateway(service=service),
        "groups_of": ChatGateway(service=service),
        "connected": EventsGateway(connected=service.connected),
    }
    gateway = gateways[where]
    async with running(gateway) as client:
        with pytest.raises(ConnectionRefused, match="not you"):
            async with client.connect(gateway.name, token=client.token("ann")):
                pass
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    ("error", "closed"),
    [
        (HTTPException(403, "not you"), (1008, "not you")),
        (WebSocketException(4001, "elsewhere"), (4001, "elsewhere")),
        (HTTPException(500, "db-7 is down"), (1011, "rooms unavailable")),
    ],
)
async def test_rooms_are_read_from_the_service_again(error: Exception, closed: tuple[int, str]) -> None:
    service = Service(error, "nowhere")
    async with running(ChatGateway(service=service)) as client:
        async with client.connect("/chat", token=client.token("ann")) as ann:
            service.where = "groups_of"
            await client.broadcaster.of("/chat").refresh_rooms("ann")
            ended = await ann.expect_closed()
            assert (ended.code, ended.reason) == closed


async def test_python_socketio_handlers_keep_their_meaning(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    sio = SocketIOServer()

    @sio.on("open")
    async def open_room(sid: str) -> None:
        raise HTTPException(404, "no such room")

    @sio.on("after")
    async def after(sid: str) -> str:
        return "done"

    server = await serve(RealtimeMiddleware(Starlette(), gateways=[sio], settings=SETTINGS))
    async with socketio.AsyncSimpleClient() as client:
        await client.connect(server.url, transports=["websocket"])
        await client.emit("open")
        assert await client.call("after") == "done"  # nothing was received before
    assert [record for record in caplog.records if record.exc_info and "no such room" in record.getMessage()]
