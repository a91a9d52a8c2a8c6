"""A host whose database is down fails for every client. The log has a handful of lines, and shows the cause."""

from __future__ import annotations

import logging

import pytest
from starlette.applications import Starlette

from asgi_realtime import (
    Connection,
    Handshake,
    Identity,
    Limits,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    create_token,
    on,
)
from tests.support.raw_engineio import RawClient, raw_client, receive_json
from tests.support.servers import Serve
from tests.support.waiting import until

CLIENTS = 1_000
SECRET = "a secret for tests that is long enough"


def query(user_id: str) -> None:
    """Ask the database, which is down."""
    raise ConnectionError(f"the database is down, {user_id}")


async def by_database(handshake: Handshake) -> Identity:
    raise ConnectionError("the database is down")


class Hooks(SocketIOGateway):
    """Each step of a client's life needs the database of the host."""

    def __init__(self) -> None:
        super().__init__("/hooks")
        self.gone = 0

    async def on_online(self, connection: Connection) -> None:
        query(connection.identity.user_id)

    async def on_offline(self, user_id: str) -> None:
        self.gone += 1
        query(user_id)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        query(connection.identity.user_id)

    @on("ask")
    async def ask(self, connection: Connection) -> str:
        query(connection.identity.user_id)
        return "found"


class Connecting(SocketIOGateway):
    """`on_connect` needs the database."""

    async def on_connect(self, connection: Connection) -> None:
        query(connection.identity.user_id)


async def careless(handshake: Handshake) -> Identity:
    return None  # type: ignore[return-value]


def app(hooks: Hooks) -> RealtimeMiddleware:
    gateways = [
        hooks,
        SocketIOGateway("/working"),
        Connecting("/connecting"),
        SocketIOGateway("/authenticating", authenticator=by_database),
        SocketIOGateway("/careless", authenticator=careless),
    ]
    limits = Limits(attempt_rate=100_000, attempt_burst=100_000)
    settings = Settings(jwt_secret=SECRET, presence_grace=0, limits=limits)
    return RealtimeMiddleware(Starlette(), gateways=gateways, settings=settings)


async def asks(client: RawClient, token: str) -> None:
    """Connect, ask in vain, and leave."""
    await client.send(f'0/hooks,{{"token":"{token}"}}')
    await receive_json(client, "0/hooks,")
    await client.send('2/hooks,7["ask"]')
    assert (await receive_json(client, "3/hooks,7"))[0]["code"] == "INTERNAL"
    await client.send("1/hooks,")


async def is_refused(client: RawClient, gateway: str, token: str) -> None:
    await client.send(f'0{gateway},{{"token":"{token}"}}')
    assert (await receive_json(client, f"4{gateway},"))["data"]["code"] == "INTERNAL"


async def test_a_thousand_clients_of_a_host_without_its_database_are_a_handful_of_lines(
    serve: Serve, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asgi_realtime.runtime.log_limit.INTERVAL", 3_600.0)  # the test may take longer than a minute
    gateway = Hooks()
    server = await serve(app(gateway))
    async with raw_client(server, "websocket") as client:
        await client.send(f'0/working,{{"token":"{create_token("ann", Settings(jwt_secret=SECRET))}"}}')
        await receive_json(client, "0/working,")  # without any namespace, the session would be closed
        for number in range(CLIENTS):
            token = create_token(f"user {number}", Settings(jwt_secret=SECRET))
            await asks(client, token)
            for refusing in ("/connecting", "/authenticating", "/careless"):
                await is_refused(client, refusing, token)
        await until(lambda: gateway.gone == CLIENTS)
    lines = [
        record for record in caplog.records if record.name == "asgi_realtime" and record.levelno >= logging.WARNING
    ]
    assert sorted(record.getMessage().partition(" failed")[0] for record in lines) == [
        "/authenticating: connecting",
        "/careless: the authenticator returned None: TypeError('it must return an Identity, or raise Unauthorized')",
        "/connecting: connecting",
        "/hooks: ask",
        "/hooks: on_disconnect",
        "/hooks: on_offline",
        "/hooks: on_online",
    ]
    assert sum(record.exc_info is not None for record in lines) == 6
