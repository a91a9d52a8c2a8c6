"""An authenticator may put into the claims what cannot be kept. Only the client that it belongs to is concerned."""

from __future__ import annotations

import json
import logging
import secrets
from typing import cast

import pytest
from starlette.applications import Starlette

from asgi_realtime import Connection, Handshake, Identity, RealtimeMiddleware, Settings, SocketIOGateway
from asgi_realtime.values.json import Json
from tests.support.raw_engineio import RawWebSocketClient, raw_client
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until


class Unreadable:
    """An id of a token that its class cannot show."""

    def __str__(self) -> str:
        raise LookupError("of the host")


CLAIMS: dict[str, dict[str, Json]] = {
    "ann": {"jti": "a"},
    "bob": {"jti": cast("Json", Unreadable())},
    "cid": {"jti": "c", "iat": 10**400},
}


async def with_claims(handshake: Handshake) -> Identity:
    assert isinstance(handshake.auth, dict)
    name = str(handshake.auth["name"])
    return Identity(user_id=name, claims=CLAIMS[name])


class Lobby(SocketIOGateway):
    """Puts each client into one room."""

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("lobby")


async def connect(server: LiveServer, auth: dict[str, Json]) -> tuple[str, str]:
    """Connect a client, and lose its connection. Returns the ids of its connection and its session."""
    async with raw_client(server, "websocket") as client:
        assert isinstance(client, RawWebSocketClient)
        answer = json.loads((await client.connect(auth | {"recovery": True}))[2:])
        client.vanish()
        return answer["sid"], answer["pid"]


async def test_clients_leave_their_rooms_and_those_with_readable_claims_recover(
    serve: Serve, redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings(
        jwt_secret="a secret for tests that is long enough",
        redis_url=redis_process.url,
        redis_prefix=f"test-{secrets.token_hex(4)}",
        publish_timeout=10.0,
        presence_grace=0.0,
    )
    gateway = Lobby(authenticator=with_claims)
    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=settings)
    server = await serve(app)
    sessions = {name: await connect(server, {"name": name}) for name in CLAIMS}

    async def all_gone() -> bool:
        receipt = await app.broadcaster.broadcast_to_room("lobby", "news", volatile=True)
        return receipt.delivered_locally == 0 and not await app.broadcaster.online_users()

    await until(all_gone)
    recovered = {}
    for name, (sid, pid) in sessions.items():
        recovered[name] = (await connect(server, {"name": name, "pid": pid}))[0] == sid
    assert recovered == {"ann": True, "bob": False, "cid": True}
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 1
    assert "a recovery session cannot be encoded" in lines[0]
