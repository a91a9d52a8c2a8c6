"""`sys.exit()` in hooks and other functions of the host, and a `CancelledError` of their own, end one call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosedError

from asgi_realtime import (
    ChatGateway,
    ChatMessage,
    Connection,
    Delivery,
    Identity,
    RealtimeMiddleware,
    SavedMessage,
    SocketIOGateway,
    on,
    socketio,
)
from asgi_realtime.recovery.returning_client import ReturningClient
from asgi_realtime.recovery.unbroken_claim import unbroken_claim
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.testing import ConnectionRefused
from asgi_realtime.values.publications import Publication
from tests.support.host_exits import SETTINGS, cancelled, client_of, coroutine, leave, plain, two
from tests.support.servers import Serve


@pytest.mark.parametrize("how", [leave, cancelled])
@pytest.mark.parametrize("kind", [plain, coroutine])
@pytest.mark.parametrize("place", ["authenticator", "on_connect", "rooms_of"])
async def test_a_client_is_refused(
    place: str,
    kind: Callable[[Callable[[], NoReturn]], Callable[..., Any]],
    how: Callable[[], NoReturn],
    caplog: pytest.LogCaptureFixture,
) -> None:
    function = kind(how)

    class Refusing(SocketIOGateway):
        async def on_connect(self, connection: Connection) -> None:
            if place == "on_connect":
                await self.host_call(function, "check", "connection")(connection)
            await self.enter_rooms(connection)

        async def rooms_of(self, identity: Identity) -> dict[str, str | None]:
            if place == "rooms_of":
                await self.host_call(function, "rooms", "identity")(identity)
            return {}

    gateway = Refusing("/", authenticator=function if place == "authenticator" else None)
    async with client_of(gateway, SocketIOGateway("/other")) as client:
        async with client.connect("/other", token=client.token("bob")):
            with pytest.raises(ConnectionRefused, match="internal error"):
                async with client.connect("/", token=client.token("ann")):
                    pass
    assert caplog.text.count("/: connecting failed: ") == 1


@pytest.mark.parametrize("how", [leave, cancelled])
@pytest.mark.parametrize("kind", [plain, coroutine])
async def test_hooks_are_logged(
    kind: Callable[[Callable[[], NoReturn]], Callable[..., Any]],
    how: Callable[[], NoReturn],
    caplog: pytest.LogCaptureFixture,
) -> None:
    function = kind(how)

    class Hooks(SocketIOGateway):
        def connection_opened(self, connection: Connection) -> None:
            how()

        async def on_online(self, connection: Connection) -> None:
            await self.host_call(function, "online", "connection")(connection)

        async def on_disconnect(self, connection: Connection, reason: str) -> None:
            await self.host_call(function, "disconnect", "connection")(connection)

        async def on_offline(self, user_id: str) -> None:
            await self.host_call(function, "offline", "user_id")(user_id)

        @on("begin")
        async def begin(self, connection: Connection) -> bool:
            self.run_later(connection, "later work", coroutine(how))
            self.run_in_background("background work", coroutine(how)())
            return True

    async with two(Hooks("/")) as (client, ann, _):
        assert await ann.call("begin") is True
        await ann.close()
        await client.settle()
    for name in ("connection_opened", "on_online", "on_disconnect", "on_offline", "later work"):
        assert caplog.text.count(f"/: {name} failed: ") == 1, name
    assert caplog.text.count("/: a task failed (background work): RuntimeError('code of the host raised ") == 1


@pytest.mark.parametrize("how", [leave, cancelled])
async def test_a_refresh_closes_only_its_connections(
    how: Callable[[], NoReturn], caplog: pytest.LogCaptureFixture
) -> None:
    class Refreshed(SocketIOGateway):
        def rooms_of(self, identity: Identity) -> dict[str, str | None]:  # type: ignore[override]
            how()

    async with two(Refreshed("/")) as (client, ann, _):
        await client.broadcaster.of("/").refresh_rooms("ann")
        assert (await ann.expect_closed()).code == 1011
    assert caplog.text.count("the host could not say which rooms a client may see") == 1


@pytest.mark.parametrize("how", [leave, cancelled])
@pytest.mark.parametrize("inner", [False, True])
async def test_a_filter_keeps_the_event_back(
    inner: bool, how: Callable[[], NoReturn], caplog: pytest.LogCaptureFixture
) -> None:
    class Filtered(SocketIOGateway):
        def recipient_filter(self, publication: Publication) -> Callable[[Connection], bool] | None:
            if publication.event == "shown":
                return None
            if not inner:
                how()
            return lambda connection: how()

    async with two(Filtered("/")) as (client, ann, _):
        for event in ("hidden", "shown"):
            await client.broadcaster.of("/").broadcast_to_all(event)
        await ann.expect("shown")
        assert [event.name for event in ann.events] == ["shown"]
    what = "recipient_filter failed" if inner else "delivering a broadcast failed"
    assert caplog.text.count(what) == 1


@pytest.mark.parametrize("how", [leave, cancelled])
@pytest.mark.parametrize("kind", [plain, coroutine])
async def test_handlers_and_tasks_of_a_socketio_server_are_logged(
    kind: Callable[[Callable[[], NoReturn]], Callable[..., Any]],
    how: Callable[[], NoReturn],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server = socketio.SocketIOServer(namespaces=["/"])
    server.on("go", kind(how))

    @server.on("echo")
    async def echo(sid: str, text: str) -> str:
        server.start_background_task(coroutine(how))
        return text

    async with two(server) as (_, ann, bob):
        await ann.send("go")
        assert await ann.call("echo", "tea") == "tea"
    assert caplog.text.count("/: go failed: ") == 1
    assert caplog.text.count("a task failed (background task call): RuntimeError('code of the host raised ") == 1


@pytest.mark.parametrize("how", [leave, cancelled])
async def test_the_rule_of_a_returning_client_refuses_it(
    how: Callable[[], NoReturn], caplog: pytest.LogCaptureFixture
) -> None:
    async def claim() -> ReturningClient | None:
        how()

    tasks = Tasks()
    with pytest.raises((SystemExit, asyncio.CancelledError)):  # `open` answers these
        await unbroken_claim(claim(), put_back=lambda client: None, tasks=tasks)
    await tasks.until_idle()
    assert caplog.text == ""


async def test_a_task_that_never_began_ends_its_coroutine() -> None:
    tasks = Tasks()
    task = tasks.spawn_host(coroutine(leave)(), name="never began")
    await tasks.aclose()
    assert task.cancelled()
    with pytest.raises(TypeError, match="a coroutine was expected"):
        tasks.spawn_host(None, name="no coroutine")  # type: ignore[arg-type]


class Reports:
    """The service of a chat, which fails to note what was delivered."""

    def __init__(self, leave: Callable[[], NoReturn]) -> None:
        self._leave = leave

    async def groups_of(self, identity: Identity) -> list[str]:
        return []

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        return SavedMessage(message)

    async def mark_read(self, identity: Identity, chat_id: str) -> None: ...

    async def pending_messages(self, identity: Identity, limit: int) -> list[ChatMessage]:
        return []

    async def messages_delivered(self, deliveries: Sequence[Delivery]) -> None:
        self._leave()


@pytest.mark.parametrize("how", [leave, cancelled])
async def test_a_report_of_deliveries_is_logged(how: Callable[[], NoReturn], caplog: pytest.LogCaptureFixture) -> None:
    sent = {"fromId": "ann", "toId": "eve", "chatType": "single", "content": "hello"}
    async with two(ChatGateway("/chat", service=Reports(how))) as (client, ann, _):
        async with client.connect("/chat", token=client.token("eve")) as eve:
            for number in range(2):  # the second report is made too
                await ann.send("message", sent | {"id": f"{number}"})
                await eve.expect("message")
                await client.settle()
    lines = [record.message for record in caplog.records if "messages_delivered failed" in record.message]
    assert len(lines) == 1  # the second one within a minute is counted


async def test_a_websocket_route_of_the_host_ends_alone(serve: Serve) -> None:
    async def route(socket: WebSocket) -> None:
        await socket.accept()
        await socket.receive_text()
        leave()

    host = Starlette(routes=[WebSocketRoute("/route", route)])
    server = await serve(
        RealtimeMiddleware(host, gateways=[SocketIOGateway("/")], settings=SETTINGS), "WebSocketProtocol"
    )
    async with connect(f"{server.websocket_url}/route") as socket:
        await socket.send("leave")
        with pytest.raises(ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1011
    async with connect(f"{server.websocket_url}/route"):
        pass  # the server still serves
