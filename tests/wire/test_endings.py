"""Connections ended by the server: everything sent arrives, then one `disconnect` with the right reason.

The rows of the table on docs/start/concepts.md, as stock clients of Socket.IO see them over every transport.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Disconnect,
    Limits,
    Realtime,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    create_token,
    on,
)
from asgi_realtime.transports.engineio import State
from tests.support.node_client import Node
from tests.support.python_client import PythonClient
from tests.support.raw_engineio import TRANSPORTS, TransportName, raw_client, read_until_closed
from tests.support.servers import Implementation, LiveServer, Serve
from tests.support.stock_client import CLIENT_KINDS, ClientKind, connect_stock
from tests.support.waiting import until

SETTINGS = Settings(
    jwt_secret="a secret for tests that is long enough",
    presence_grace=0.0,
)


def texts(kind: ClientKind) -> int:
    """How many events are sent just before the end. python-engineio's client takes 16 packets in a payload at most."""
    return 10 if kind == "python-polling" else 40


TRANSPORTS_OF: dict[ClientKind, list[str]] = {
    kind: ["polling", "websocket"] if kind.endswith("upgrade") else [kind.partition("-")[2]] for kind in CLIENT_KINDS
}
KINDS_AND_SERVERS: list[tuple[ClientKind, Implementation]] = [
    *((kind, "uvicorn") for kind in CLIENT_KINDS),
    *(
        (kind, implementation)
        for implementation in ("uvicorn-wsproto", "WebSocketProtocol", "hypercorn", "plain")
        for kind in ("node-polling", "node-websocket")
    ),
]

Way: TypeAlias = Callable[["Ending", Connection], Awaitable[object]]
"""How the server ends the connection of the event that is being handled."""


def closing(code: int, reason: str = "bye") -> Way:
    return lambda gateway, connection: connection.close(code, reason)


def raising(code: int) -> Way:
    async def end(gateway: Ending, connection: Connection) -> None:
        raise Disconnect(code, "bye")

    return end


async def closing_twice(gateway: Ending, connection: Connection) -> None:
    await connection.close(1000, "first")
    await connection.close(1012, "second")


async def disconnecting(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.disconnect_user(connection.identity.user_id)


async def restarting(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.disconnect_user(connection.identity.user_id, code=1012, reason="restart")


async def disconnecting_it(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.disconnect_connection(connection.id)


async def revoking_the_token(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.revoke_token(str(connection.identity.claims["jti"]))


async def revoking_the_user(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.revoke_user(connection.identity.user_id)


WAYS: dict[str, tuple[Way, bool, str]] = {
    "close()": (closing(1000), False, "server disconnect"),
    "close(1008)": (closing(1008), False, "server disconnect"),
    "close(1001)": (closing(1001), True, "server disconnect"),
    "close(1012)": (closing(1012), True, "server disconnect"),
    "close(1013)": (closing(1013), True, "server disconnect"),
    "close(4403)": (closing(4403), True, "server disconnect"),
    "close() twice": (closing_twice, False, "server disconnect"),
    "raise Disconnect()": (raising(1000), False, "server disconnect"),
    "raise Disconnect(1008)": (raising(1008), False, "server disconnect"),
    "raise Disconnect(1013)": (raising(1013), True, "server disconnect"),
    "disconnect_user()": (disconnecting, False, "server disconnect"),
    "disconnect_user(code=1012)": (restarting, True, "server disconnect"),
    "disconnect_connection()": (disconnecting_it, False, "server disconnect"),
    "revoke_token()": (revoking_the_token, False, "server disconnect"),
    "revoke_user()": (revoking_the_user, False, "server disconnect"),
}
"""Each way, whether the client may reconnect by itself, and the reason passed to `on_disconnect`."""


class Ending(SocketIOGateway):
    """Ends a connection in the requested way, after some events."""

    def __init__(self) -> None:
        super().__init__("/")
        self.ways: dict[str, Way] = {name: way for name, (way, _, _) in WAYS.items()}
        self.left: list[tuple[str, str]] = []
        self.handled: list[str] = []

    @on("end")
    async def end(self, name: str, events: int, connection: Connection) -> str:
        for number in range(events):
            await connection.send("text", number)
        await connection.send("binary", {"bytes": b"\x00\xff"})
        await self.ways[name](self, connection)
        await connection.send("too late")
        await self.broadcaster.broadcast_to_user(connection.identity.user_id, "too late")
        return "too late"

    @on("after")
    async def after(self, connection: Connection) -> None:
        self.handled.append(connection.identity.user_id)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append((connection.identity.user_id, reason))


class Other(SocketIOGateway):
    """Another namespace."""

    @on("echo")
    async def echo(self, value: int, connection: Connection) -> None:
        await connection.send("echo", value)


@asynccontextmanager
async def running(
    serve: Serve, implementation: Implementation, **settings: Any
) -> AsyncIterator[tuple[Ending, Realtime, LiveServer]]:
    gateway = Ending()
    changed = dataclasses.replace(SETTINGS, **settings)
    app = RealtimeMiddleware(Starlette(), gateways=[gateway, Other("/other")], settings=changed)
    yield gateway, app.realtime, await serve(app, implementation)


def token(user_id: str) -> dict[str, Any]:
    return {"token": create_token(user_id, SETTINGS, jti=f"token of {user_id}")}


def right_reason(kind: ClientKind, *, comes_back: bool) -> tuple[str, bool]:
    """The reason that the handler of the client gets, and whether the client reconnects."""
    if kind.startswith("node"):
        return ("transport close", True) if comes_back else ("io server disconnect", False)
    # python-socketio's client ends at the close packet of long-polling, also with packets beside it.
    return ("transport error", True) if comes_back and kind != "python-polling" else ("server disconnect", False)


async def over(gateway: Ending, realtime: Realtime) -> None:
    """Wait until every hook has run. A client may disconnect without fetching its close packet."""
    await until(lambda: gateway.left and not len(realtime.tasks))
    assert State.OPEN not in {session.state for session in realtime.engineio.sessions.values()}


@pytest.mark.parametrize(("kind", "implementation"), KINDS_AND_SERVERS)
async def test_messages_sent_before_the_close_arrive_before_one_disconnect(
    kind: ClientKind, implementation: Implementation, serve: Serve, node: Node
) -> None:
    async with running(serve, implementation) as (gateway, realtime, server):
        events = texts(kind)
        for name, (_, comes_back, reason) in WAYS.items():
            client = await connect_stock(kind, node, server.url, "/", token(name), None)
            await client.emit("end", name, events)
            await client.emit("after")
            await client.disconnection()
            await over(gateway, realtime)
            await client.disconnect()  # a second one would have arrived before this
            [disconnect] = client.disconnects
            assert (disconnect.reason, disconnect.active) == right_reason(kind, comes_back=comes_back), name
            assert disconnect.seen == ("text",) * events + ("binary",), name
            *sent, last = client.events
            assert [received.data for received in sent] == list(range(events))
            assert last.data == {"bytes": b"\x00\xff"}
            assert gateway.left == [(name, reason)]
            gateway.left.clear()
        assert gateway.handled == []


# Ends outside handlers


async def expiring(gateway: Ending, realtime: Realtime) -> None:
    [connection] = realtime.hub.rooms(gateway.name).everybody
    await gateway.refresh_token(connection.public, create_token("ann", SETTINGS, expires_in=2))


async def stopping(gateway: Ending, realtime: Realtime) -> None:
    await realtime.stop()


OUTSIDE: dict[str, tuple[Callable[[Ending, Realtime], Awaitable[None]], bool, str]] = {
    "expiry": (expiring, False, "server disconnect"),
    "stop": (stopping, True, "forced close"),
}
"""As in `WAYS`."""


@pytest.mark.parametrize("way", OUTSIDE)
@pytest.mark.parametrize(("kind", "implementation"), KINDS_AND_SERVERS)
async def test_expiry_and_shutdown_end_with_one_disconnect(
    kind: ClientKind, implementation: Implementation, way: str, serve: Serve, node: Node
) -> None:
    end, comes_back, reason = OUTSIDE[way]
    async with running(serve, implementation) as (gateway, realtime, server):
        client = await connect_stock(kind, node, server.url, "/", token("ann"), None)
        for number in range(texts(kind)):
            await gateway.broadcaster.broadcast_to_all("text", number)
        await end(gateway, realtime)
        await client.disconnection()
        await client.disconnect()
        [disconnect] = client.disconnects
        assert (disconnect.reason, disconnect.active) == right_reason(kind, comes_back=comes_back)
        assert disconnect.seen == ("text",) * texts(kind)
        await until(lambda: gateway.left)
        assert gateway.left == [("ann", reason)]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_connects_to_no_namespace_is_closed(transport: TransportName, serve: Serve) -> None:
    async with running(serve, "uvicorn", limits=Limits(connect_timeout=0.3)) as (_, realtime, server):
        async with raw_client(server, transport) as client:
            assert await read_until_closed(client) == []
        await until(lambda: not realtime.engineio.sessions)


@pytest.mark.parametrize("kind", CLIENT_KINDS)
async def test_a_client_that_keeps_sending_too_many_events_is_disconnected(
    kind: ClientKind, serve: Serve, node: Node
) -> None:
    limits = Limits(event_rate=1.0, event_burst=5, attempt_rate=1.0, attempt_burst=5)
    async with running(serve, "uvicorn", limits=limits) as (gateway, _, server):
        client = await connect_stock(kind, node, server.url, "/", token("ann"), None)
        for _ in range(30):
            await client.emit("after")
        await client.disconnection()
        await client.disconnect()
        [disconnect] = client.disconnects
        assert (disconnect.reason, disconnect.active) == right_reason(kind, comes_back=False)
        assert set(disconnect.seen) == {"error"}
        await until(lambda: gateway.left)
        assert gateway.left == [("ann", "server disconnect")]


class Welcoming(SocketIOGateway):
    """Closes each client right after it connected and received one event.

    Args:
        answered: wait until the client has acknowledged it. python-socketio ignores DISCONNECT until `connect` returns.
    """

    def __init__(self, *, answered: bool) -> None:
        super().__init__("/")
        self.left: list[str] = []
        self._answered = answered

    async def on_online(self, connection: Connection) -> None:
        if self._answered:
            await connection.call("text", 0)
        else:
            await connection.send("text", 0)
        raise Disconnect(1008, "closed today")

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append(reason)


@pytest.mark.parametrize("kind", CLIENT_KINDS)
async def test_disconnect_raised_in_on_online(
    kind: ClientKind, serve: Serve, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    gateway = Welcoming(answered=kind.startswith("python"))
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS))
    if kind.startswith("node"):
        client: Any = await node.connect(server.url, "/", auth=token("ann"), transports=TRANSPORTS_OF[kind], wait=False)
    else:
        client = PythonClient()
        await client.connect(server.url, "/", auth=token("ann"), transports=TRANSPORTS_OF[kind])
    await client.disconnection()
    await client.disconnect()
    [disconnect] = client.disconnects
    assert (disconnect.reason, disconnect.active) == right_reason(kind, comes_back=False)
    assert disconnect.seen == ("text",)
    await until(lambda: gateway.left)
    assert gateway.left == ["server disconnect"]
    assert [record for record in caplog.records if record.name == "asgi_realtime"] == []


# Several namespaces on one transport


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("way", [name for name, (_, comes_back, _) in WAYS.items() if not comes_back])
async def test_a_client_disconnected_from_one_namespace_stays_in_the_others(
    transport: TransportName, way: str, serve: Serve, node: Node
) -> None:
    """Only a revoked or disconnected user ends every namespace, each with a DISCONNECT."""
    async with running(serve, "uvicorn") as (gateway, realtime, server):
        first = await node.connect(server.url, "/", auth=token("ann"), transports=[transport])
        other = await first.share("/other", auth=token("ann"))
        await first.emit("end", way, 40)
        assert await first.disconnection() == "io server disconnect"
        if way.startswith(("revoke", "disconnect_user")):
            assert await other.disconnection() == "io server disconnect"
            assert [each.active for each in (*first.disconnects, *other.disconnects)] == [False, False]
            await until(
                lambda: gateway.left and State.OPEN not in {s.state for s in realtime.engineio.sessions.values()}
            )
        else:
            await other.emit("echo", 7)
            assert (await other.expect("echo")).data == 7
            assert other.disconnects == []
        [disconnect] = first.disconnects
        assert disconnect.seen == ("text",) * 40 + ("binary",)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_client_that_may_reconnect_reconnects_to_every_namespace(
    transport: TransportName, serve: Serve, node: Node
) -> None:
    async with running(serve, "uvicorn") as (gateway, _, server):
        first = await node.connect(server.url, "/", auth=token("ann"), transports=[transport], reconnection=True)
        other = await first.share("/other", auth=token("ann"))
        await first.emit("end", "close(1012)", 40)
        assert [await first.disconnection(), await other.disconnection()] == ["transport close"] * 2
        await first.connection()
        await until(lambda: first.connected and other.connected)
        assert [len(first.disconnects), len(other.disconnects)] == [1, 1]
        assert first.disconnects[0].seen == ("text",) * 40 + ("binary",)
        assert gateway.left == [("ann", "server disconnect")]


# In the middle of an upgrade


@pytest.mark.parametrize("way", ["close()", "close(1012)"])
async def test_a_client_that_is_about_to_upgrade_receives_everything_before_the_close(
    way: str, serve: Serve, node: Node
) -> None:
    """The close reaches the client at each stage of its upgrade: a few milliseconds later in each run."""
    _, comes_back, _ = WAYS[way]
    async with running(serve, "uvicorn") as (_, realtime, server):
        for delay in range(15):
            client = await node.connect(server.url, "/", auth=token("ann"))
            await asyncio.sleep(delay / 1000)
            await client.emit("end", way, 40)
            await client.disconnection()
            await client.disconnect()
            [disconnect] = client.disconnects
            assert (disconnect.reason, disconnect.active) == right_reason("node-upgrade", comes_back=comes_back)
            assert disconnect.seen == ("text",) * 40 + ("binary",), delay
        await until(lambda: State.OPEN not in {session.state for session in realtime.engineio.sessions.values()})


# Acknowledgements


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_result_returned_after_closing_the_connection_is_not_sent(
    transport: TransportName, serve: Serve, node: Node
) -> None:
    async with running(serve, "uvicorn") as (_, _, server):
        client = await node.connect(server.url, "/", auth=token("ann"), transports=[transport])
        with pytest.raises(TimeoutError, match="socket has been disconnected"):
            await client.call("end", "close()", 1)
        assert client.event_names == ["text", "binary"]
