"""Results of handlers and hooks that are not used: refused at start-up, or logged once."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Never, NoReturn, Optional  # noqa: F401  Optional: in the text of an annotation

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    ConfigurationError,
    Connection,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    on,
)
from asgi_realtime.testing import RealtimeTestClient
from asgi_realtime.values.json import Json

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes", presence_grace=0.0)


async def number(data: Any) -> int:
    return 1


async def optional(data: Any) -> dict[str, int] | None:
    return None


def plain(data: Any) -> str:
    return ""


def awaitable(data: Any) -> Awaitable[int]:
    return number(data)


@pytest.mark.parametrize("handler", [number, optional, plain, awaitable, functools.partial(number)])
def test_a_handler_of_a_websocket_that_is_annotated_to_return_something_ends_start_up(
    handler: Callable[..., Any],
) -> None:
    gateway = WebSocketGateway("/chat")
    gateway.on("said")(handler)
    with pytest.raises(
        ConfigurationError, match=r"handler .*'said': its result \(.*\) would not be used; send .*-> None"
    ):
        Realtime(gateways=[gateway], settings=SETTINGS)
    socketio = SocketIOGateway("/chat")
    socketio.on("said")(handler)
    Realtime(gateways=[socketio], settings=SETTINGS)  # with Socket.IO the result is the acknowledgement


async def nothing(data: Any) -> None: ...


async def never(data: Any) -> Never:
    raise SystemExit


def no_return(data: Any) -> NoReturn:
    raise SystemExit


def awaits_nothing(data: Any) -> Awaitable[None]:
    return nothing(data)


@pytest.mark.parametrize("handler", [nothing, never, no_return, awaits_nothing, lambda data: 1])
def test_a_handler_that_is_annotated_to_return_nothing_is_mounted(handler: Callable[..., Any]) -> None:
    gateway = WebSocketGateway("/chat")
    gateway.on("said")(handler)
    Realtime(gateways=[gateway], settings=SETTINGS)


@pytest.mark.parametrize("hook", ["on_start", "on_connect", "on_disconnect", "on_online", "on_offline"])
@pytest.mark.parametrize("base", [SocketIOGateway, WebSocketGateway])
@pytest.mark.parametrize("plain", [True, False])
def test_a_hook_that_is_annotated_to_return_something_ends_start_up(base: type, hook: str, plain: bool) -> None:
    async def hook_async(self: Any, *arguments: Any) -> bool:
        return True

    def hook_plain(self: Any, *arguments: Any) -> bool:
        return True

    kind = type("Board", (base,), {hook: hook_plain if plain else hook_async, "__module__": __name__})
    with pytest.raises(ConfigurationError, match=rf"Board\.{hook}: its result \(bool\) would not be used; "):
        Realtime(gateways=[kind("/chat")], settings=SETTINGS)


EVENTS = ("said", "plain", "waits", "wrong", "lambda")


class Unannotated(WebSocketGateway):
    async def on_connect(self, connection: Connection):  # type: ignore[no-untyped-def]
        return {"hello": "client"}

    @on("said")
    async def said(self, text: str):  # type: ignore[no-untyped-def]
        return text or None

    @on("plain")
    def plain(self, text: str):  # type: ignore[no-untyped-def]
        return text

    @on("waits")
    async def waits(self, text: str):  # type: ignore[no-untyped-def]
        await asyncio.sleep(0)
        return text

    @on("wrong")
    async def wrong(self, text: str) -> None:
        return text  # type: ignore[return-value]

    def dispatch(self, connection: Connection, event: str, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
        return number(sent)


async def test_a_result_without_an_annotation_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    gateway = Unannotated("/chat")
    gateway.on("lambda")(lambda text: text)
    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    async with RealtimeTestClient(app) as client:
        for _ in range(2):
            async with client.connect("/chat", token=client.token("ann")) as socket:
                await socket.expect("auth_success")
                await socket.send("said", "")
                for event in (*EVENTS, "of", "the", "client", *EVENTS):
                    await socket.send(event, "secret")
                await socket.expect_nothing()
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    remedy = "send the client an event instead: await connection.send(...)"
    assert said == [
        "Unannotated.on_connect: its result (dict) is not used; send the client an event, or raise Forbidden() "
        "to refuse it",
        f"handler Unannotated.said of 'said': its result (str) is not used; {remedy}",
        f"handler Unannotated.plain of 'plain': its result (str) is not used; {remedy}",
        f"handler Unannotated.waits of 'waits': its result (str) is not used; {remedy}",
        f"handler Unannotated.wrong of 'wrong': its result (str) is not used; {remedy}",
        f"Unannotated.dispatch: its result (int) is not used; {remedy}",
    ]


class Acknowledged(SocketIOGateway):
    @on("said")
    async def said(self, text: str):  # type: ignore[no-untyped-def]
        return text


async def test_a_result_that_no_socketio_client_asked_for_is_not_logged(caplog: pytest.LogCaptureFixture) -> None:
    app = RealtimeMiddleware(Starlette(), gateways=[Acknowledged("/")], settings=SETTINGS)
    async with RealtimeTestClient(app) as client, client.connect("/", token=client.token("ann")) as socket:
        await socket.send("said", "hello")
        assert await socket.call("said", "again") == "again"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_an_annotation_of_a_result_is_read_without_the_others() -> None:
    async def takes_unknown(self: Any, connection: Any) -> int:
        return 1

    async def returns_unknown(self: Any, connection: Any) -> Any: ...

    takes_unknown.__annotations__ = {"connection": "NotImported", "return": "Optional[int]"}
    returns_unknown.__annotations__ = {"connection": "Any", "return": "NotImported"}
    known = type("Board", (WebSocketGateway,), {"on_connect": takes_unknown, "__module__": __name__})
    with pytest.raises(ConfigurationError, match=r"Board\.on_connect: its result \(.*int.*\) would not be used"):
        Realtime(gateways=[known("/chat")], settings=SETTINGS)
    unknown = type("Board", (WebSocketGateway,), {"on_connect": returns_unknown, "__module__": __name__})
    Realtime(gateways=[unknown("/chat")], settings=SETTINGS)
