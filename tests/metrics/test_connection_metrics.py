"""What is counted of connections, of sessions and of the clients that are refused."""

from __future__ import annotations

import dataclasses

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Disconnect,
    Forbidden,
    Limits,
    RealtimeMiddleware,
    Refusal,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    create_token,
)
from asgi_realtime.metrics.declarations import (
    CLOSED,
    CONNECTIONS,
    ENGINEIO_SESSIONS,
    ENGINEIO_SESSIONS_CLOSED,
    ENGINEIO_SESSIONS_OPENED,
    OPENED,
    OVER_BUDGET,
    RECOVERIES,
    REFUSED_CONNECTIONS,
)
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient, Transport
from tests.support.moved_metrics import moves
from tests.support.node_client import Node
from tests.support.raw_engineio import raw_client, read_until_closed
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.servers import Serve
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret of at least thirty-two bytes", presence_grace=0)
ERRORS = {
    "mallory": Forbidden("not you"),
    "bug": LookupError("of the host"),
    "cut": Disconnect(4001, "not now"),
    "own": Refusal("mine", code="OWN_CODE"),
}


class Office(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        if connection.identity.user_id in ERRORS:
            raise ERRORS[connection.identity.user_id]


@moves(CONNECTIONS, OPENED, CLOSED, ENGINEIO_SESSIONS, ENGINEIO_SESSIONS_OPENED, ENGINEIO_SESSIONS_CLOSED)
async def test_connections_and_sessions_are_counted() -> None:
    metrics = RecordedMetrics()
    gateways = [Office(), WebSocketGateway("/ticker")]
    app = RealtimeMiddleware(Starlette(), gateways=gateways, settings=SETTINGS, metrics=metrics)
    async with RealtimeTestClient(app) as client:
        async with client.connect("/", token=client.token("ann"), transport="polling"):
            async with client.connect("/ticker", token=client.token("ann")) as ticker:
                assert metrics.totals["connections /"] == metrics.totals["connections /ticker"] == 1
                assert metrics.totals["engineio_sessions polling"] == 1
                await client.broadcaster.disconnect_user("ann", gateway="/ticker")
                await ticker.expect_closed()
            await client.settle()
        async with client.connect("/", token=client.token("ann")):
            assert metrics.totals["engineio_sessions websocket"] == 1
    assert {name: total for name, total in metrics.totals.items() if total} == {
        "opened_total /": 2,
        "opened_total /ticker": 1,
        "closed_total / client disconnect none": 2,
        "closed_total /ticker forced close 1008": 1,
        "engineio_sessions_opened_total websocket": 1,
        "engineio_sessions_opened_total polling": 1,
        "engineio_sessions_closed_total client close": 1,
        "engineio_sessions_closed_total transport close": 1,
    }
    assert metrics.totals["connections /"] == 0


@moves(REFUSED_CONNECTIONS)
@pytest.mark.parametrize(
    ("user", "reason"),
    [("mallory", "FORBIDDEN"), ("bug", "INTERNAL"), ("cut", "DISCONNECT"), ("own", "other"), (None, "UNAUTHORIZED")],
)
async def test_refused_clients_are_counted_by_reason(user: str | None, reason: str) -> None:
    metrics = RecordedMetrics()
    app = RealtimeMiddleware(Starlette(), gateways=[Office()], settings=SETTINGS, metrics=metrics)
    async with RealtimeTestClient(app) as client:
        with pytest.raises(ConnectionRefused):
            async with client.connect("/", token=None if user is None else client.token(user)):
                pass
        assert metrics.sum("refused_connections_total") == metrics.totals[f"refused_connections_total / {reason}"] == 1


@pytest.mark.parametrize(
    ("gateway", "transport", "counted"),
    [("/ticker", "websocket", "/ticker"), ("/", "websocket", "/socket.io"), ("/", "polling", "/socket.io")],
)
async def test_clients_that_are_refused_before_they_connect_are_counted(
    gateway: str, transport: Transport, counted: str
) -> None:
    metrics = RecordedMetrics()
    settings = dataclasses.replace(SETTINGS, limits=Limits(sessions_per_address=1))
    app = RealtimeMiddleware(
        Starlette(), gateways=[Office(), WebSocketGateway("/ticker")], settings=settings, metrics=metrics
    )

    async def is_refused(reason: str, **headers: str) -> None:
        before = metrics.sum("refused_connections_total")
        with pytest.raises(ConnectionRefused):
            async with client.connect(gateway, token=client.token("ann"), transport=transport, headers=headers):
                pass
        assert metrics.totals[f"refused_connections_total {counted} {reason}"] == 1
        assert metrics.sum("refused_connections_total") == before + 1

    async with RealtimeTestClient(app) as client:
        await is_refused("ORIGIN", origin="https://evil.example")
        async with client.connect(gateway, token=client.token("bob"), transport=transport):
            await is_refused("FULL")


async def test_a_session_that_is_upgraded_is_counted_by_its_present_transport(serve: Serve, node: Node) -> None:
    metrics = RecordedMetrics()
    app = RealtimeMiddleware(Starlette(), gateways=[Office()], settings=SETTINGS, metrics=metrics)
    server = await serve(app)
    client = await node.connect(server.url, auth={"token": create_token("ann", SETTINGS)})
    await client.upgraded()
    await until(lambda: metrics.totals["engineio_sessions websocket"] == 1)
    assert metrics.totals["engineio_sessions polling"] == 0
    assert metrics.totals["engineio_sessions_opened_total polling"] == 1
    await client.disconnect()
    await until(lambda: metrics.totals["engineio_sessions websocket"] == 0)
    assert metrics.totals["engineio_sessions polling"] == 0


@moves(RECOVERIES)
async def test_clients_that_come_back_are_counted(serve: Serve, node: Node) -> None:
    metrics = RecordedMetrics()
    app = RealtimeMiddleware(Starlette(), gateways=[Office()], settings=SETTINGS, metrics=metrics)
    server = await serve(app)
    client = await node.connect(server.url, auth={"token": create_token("ann", SETTINGS)}, transports=["websocket"])
    await app.broadcaster.broadcast_to_user("ann", "news")
    await client.expect("news")
    for revoked, expected in ((False, {"recovered": 1}), (True, {"recovered": 1, "new session": 1})):
        await client.drop()
        await until(lambda: metrics.totals["connections /"] == 0)
        if revoked:
            await app.broadcaster.disconnect_user("ann")  # it ends what could be recovered
        await client.reconnect()
        counted = {result: metrics.totals[f"recoveries_total / {result}"] for result in expected}
        assert counted == expected
        assert metrics.sum("recoveries_total") == sum(expected.values())
    await client.disconnect()


@moves(OVER_BUDGET)
@pytest.mark.parametrize(("budget", "message"), [("attempts", "0/nowhere,{}"), ("control", "3")])
async def test_clients_over_a_budget_are_counted(serve: Serve, budget: str, message: str) -> None:
    metrics = RecordedMetrics()
    limits = Limits(attempt_rate=0.001, attempt_burst=5, control_rate=0.001, control_burst=5)
    settings = dataclasses.replace(SETTINGS, limits=limits)
    server = await serve(RealtimeMiddleware(Starlette(), gateways=[Office()], settings=settings, metrics=metrics))
    async with raw_client(server, "websocket") as client:
        for _ in range(6):
            await (client.send(message) if budget == "attempts" else client.send_packet(message))
        await read_until_closed(client)
    assert metrics.sum("over_budget_total") == metrics.totals[f"over_budget_total {budget}"] == 1
