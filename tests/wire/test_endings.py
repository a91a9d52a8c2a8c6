"""How a connection ends that the server ends: what was sent arrives, then one `disconnect` with the right reason.

The rows of the table on docs/concepts.md, as stock clients of Socket.IO see them over every transport.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, Disconnect, RealtimeMiddleware, Settings, SocketIOGateway, on
from asgi_realtime.auth import create_token
from asgi_realtime.engineio import State
from asgi_realtime.realtime import Realtime
from tests.servers import Implementation, LiveServer, Serve
from tests.waiting import until
from tests.wire.node_client import Node
from tests.wire.stock_client import CLIENT_KINDS, ClientKind, connect_stock

SETTINGS = Settings(
    jwt_secret="a secret for tests that is long enough",
    presence_grace=0.0,
)


def texts(kind: ClientKind) -> int:
    """How many events are sent just before the end. python-engineio's client takes 16 packets in a payload at most."""
    return 10 if kind == "python-polling" else 40


KINDS_AND_SERVERS: list[tuple[ClientKind, Implementation]] = [
    *((kind, "uvicorn") for kind in CLIENT_KINDS),
    *(
        (kind, implementation)
        for implementation in ("uvicorn-wsproto", "lean", "hypercorn", "plain")
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
    "revoke_token()": (revoking_the_token, False, "server disconnect"),
    "revoke_user()": (revoking_the_user, False, "server disconnect"),
}
"""Each way, whether the client may come back by itself, and the reason that `on_disconnect` is given."""


class Ending(SocketIOGateway):
    """Ends a connection as it is asked to, after it sent its last words."""

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


@asynccontextmanager
async def running(serve: Serve, implementation: Implementation) -> AsyncIterator[tuple[Ending, Realtime, LiveServer]]:
    gateway = Ending()
    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=SETTINGS)
    yield gateway, app.realtime, await serve(app, implementation)


def token(user_id: str) -> dict[str, Any]:
    return {"token": create_token(user_id, SETTINGS, jti=f"token of {user_id}")}


def right_reason(kind: ClientKind, *, comes_back: bool) -> tuple[str, bool]:
    """What the client's own handler is told, and whether it will come back by itself."""
    if kind.startswith("node"):
        return ("transport close", True) if comes_back else ("io server disconnect", False)
    # python-socketio's client takes the close packet of long-polling for the end, whatever comes with it.
    return ("transport error", True) if comes_back and kind != "python-polling" else ("server disconnect", False)


async def over(gateway: Ending, realtime: Realtime) -> None:
    """Wait until every hook has run. A client may leave without fetching its close packet."""
    await until(lambda: gateway.left and not len(realtime.tasks))
    assert State.OPEN not in {session.state for session in realtime.engineio.sessions.values()}


@pytest.mark.parametrize(("kind", "implementation"), KINDS_AND_SERVERS)
async def test_what_was_sent_arrives_and_then_one_disconnect(
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
            await client.disconnect()  # a second one would have come before the client has done this
            [disconnect] = client.disconnects
            assert (disconnect.reason, disconnect.active) == right_reason(kind, comes_back=comes_back), name
            assert disconnect.seen == ("text",) * events + ("binary",), name
            *sent, last = client.events
            assert [received.data for received in sent] == list(range(events))
            assert last.data == {"bytes": b"\x00\xff"}
            assert gateway.left == [(name, reason)]
            gateway.left.clear()
        assert gateway.handled == []
