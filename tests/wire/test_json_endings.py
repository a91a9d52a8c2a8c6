"""JSON WebSockets ended by the server: everything sent arrives, then the close code and reason."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias
from urllib.parse import quote

import pytest
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import ClientConnection

from asgi_realtime import (
    Connection,
    Disconnect,
    Limits,
    Realtime,
    RealtimeMiddleware,
    Settings,
    WebSocketGateway,
    create_token,
    on,
)
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", presence_grace=0.0)
EVERY_SERVER: tuple[Implementation, ...] = (*IMPLEMENTATIONS, "plain")
LAST = [{"type": "text", "data": number} for number in range(40)]

Way: TypeAlias = Callable[["Ending", Connection], Awaitable[object]]
"""How the server ends the connection of the event that is being handled."""


def closing(code: int, reason: str) -> Way:
    return lambda gateway, connection: connection.close(code, reason)


async def raising(gateway: Ending, connection: Connection) -> None:
    raise Disconnect(4403, "banned")


async def closing_twice(gateway: Ending, connection: Connection) -> None:
    await connection.close(4403, "first")
    await connection.close(1012, "second")


async def disconnecting(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.disconnect_user(connection.identity.user_id, code=4404, reason="gone")


async def revoking_the_token(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.revoke_token(str(connection.identity.claims["jti"]))


async def revoking_the_user(gateway: Ending, connection: Connection) -> None:
    await gateway.broadcaster.revoke_user(connection.identity.user_id)


WAYS: dict[str, tuple[Way, tuple[int, str]]] = {
    "close()": (lambda gateway, connection: connection.close(), (1000, "")),
    "close(4403)": (closing(4403, "banned"), (4403, "banned")),
    "close(1012)": (closing(1012, "restart"), (1012, "restart")),
    "close(1013)": (closing(1013, "busy"), (1013, "busy")),
    "a long reason": (closing(4403, "ä" * 100), (4403, "ä" * 61)),
    "close() twice": (closing_twice, (4403, "first")),
    "raise Disconnect": (raising, (4403, "banned")),
    "disconnect_user()": (disconnecting, (4404, "gone")),
    "revoke_token()": (revoking_the_token, (1008, "credentials revoked")),
    "revoke_user()": (revoking_the_user, (1008, "credentials revoked")),
}


class Ending(WebSocketGateway):
    """Ends a connection in the requested way, after some events."""

    def __init__(self, **options: Any) -> None:
        super().__init__("/ending", **options)
        self.left: list[str] = []
        self.handled = 0

    async def on_connect(self, connection: Connection) -> None:
        if connection.identity.user_id == "takes over":
            await self.broadcaster.take_over(connection, "kick", {"by": "another"}, code=4409, reason="elsewhere")

    @on("end")
    async def end(self, name: str, connection: Connection) -> None:
        for number in range(40):
            await connection.send("text", number)
        await WAYS[name][0](self, connection)
        await connection.send("too late")
        await self.broadcaster.broadcast_to_user(connection.identity.user_id, "too late")

    @on("after")
    async def after(self) -> None:
        self.handled += 1

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        self.left.append(reason)


@asynccontextmanager
async def running(
    serve: Serve, implementation: Implementation, *, idle_timeout: float | None = None, **settings: Any
) -> AsyncIterator[tuple[Ending, Realtime, str]]:
    gateway = Ending(idle_timeout=idle_timeout)
    changed = dataclasses.replace(SETTINGS, **settings)
    app = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=changed)
    server = await serve(app, implementation)
    yield gateway, app.realtime, server.websocket_url + "/ending"


@asynccontextmanager
async def entered(url: str, user_id: str = "ann") -> AsyncIterator[ClientConnection]:
    token = create_token(user_id, SETTINGS, jti=f"token of {user_id}")
    async with websockets.connect(f"{url}?token={quote(token)}&recovery=false", ping_interval=None) as client:
        assert json.loads(await client.recv())["type"] == "auth_success"
        yield client


async def rest(client: ClientConnection) -> tuple[list[Any], tuple[int | None, str | None]]:
    """The frames before the close, and the close."""
    frames = []
    async with asyncio.timeout(10):
        try:
            while True:
                frames.append(json.loads(await client.recv()))
        except websockets.ConnectionClosed:
            return frames, (client.close_code, client.close_reason)


def event(kind: str, data: Any) -> str:
    return json.dumps({"type": kind, "data": data})


@pytest.mark.parametrize("implementation", EVERY_SERVER)
async def test_frames_sent_before_the_close_arrive_before_it(implementation: Implementation, serve: Serve) -> None:
    async with running(serve, implementation) as (gateway, _, url):
        for number, (name, (_, close)) in enumerate(WAYS.items()):
            async with entered(url, f"user {number}") as client:
                await client.send(event("end", name))
                await client.send(event("after", None))
                assert await rest(client) == (LAST, close), name
            await until(lambda: gateway.left)
            assert gateway.left == ["forced close"], name
            gateway.left.clear()
        assert gateway.handled == 0


async def expiring(gateway: Ending, realtime: Realtime, client: ClientConnection) -> None:
    [connection] = realtime.hub.rooms(gateway.name).everybody
    await gateway.refresh_token(connection.public, create_token("ann", SETTINGS, expires_in=2))


async def stopping(gateway: Ending, realtime: Realtime, client: ClientConnection) -> None:
    await realtime.stop()


async def breaking(gateway: Ending, realtime: Realtime, client: ClientConnection) -> None:
    await client.send("not JSON")


async def speaking_bytes(gateway: Ending, realtime: Realtime, client: ClientConnection) -> None:
    await client.send(b"bytes")


async def exceeding(gateway: Ending, realtime: Realtime, client: ClientConnection) -> None:
    await client.send(event("end", "x" * 5_000))


async def falling_silent(gateway: Ending, realtime: Realtime, client: ClientConnection) -> None:
    """It has ended: nothing more is sent."""


OUTSIDE: dict[str, tuple[Callable[[Ending, Realtime, ClientConnection], Awaitable[None]], tuple[int, str], str]] = {
    "expiry": (expiring, (1008, "token expired"), "forced close"),
    "stop": (stopping, (1012, "server restart"), "forced close"),
    "not JSON": (breaking, (1008, "not a JSON frame with a type"), "parse error"),
    "bytes": (speaking_bytes, (1008, "a binary frame"), "parse error"),
    "too large": (exceeding, (1009, "too large"), "transport error"),
    "silence": (falling_silent, (1000, "idle"), "idle"),
}


@pytest.mark.parametrize("way", OUTSIDE)
@pytest.mark.parametrize("implementation", EVERY_SERVER)
async def test_each_end_outside_a_handler_has_its_close_code(
    implementation: Implementation, way: str, serve: Serve
) -> None:
    end, close, reason = OUTSIDE[way]
    silence = 0.5 if way == "silence" else None
    limits = Limits(message_bytes=4_000, handshake_bytes=4_000)
    async with running(serve, implementation, idle_timeout=silence, limits=limits) as (gateway, realtime, url):
        async with entered(url) as client:
            for number in range(40):
                await gateway.broadcaster.broadcast_to_all("text", number)
            await end(gateway, realtime, client)
            frames, closed = await rest(client)
            assert closed == close
            assert frames[:40] == LAST
            assert [frame["type"] for frame in frames[40:]] == (["error"] if reason.endswith("error") else [])
        await until(lambda: gateway.left)
        assert gateway.left == [reason]


@pytest.mark.parametrize("implementation", EVERY_SERVER)
async def test_a_connection_that_is_taken_over_gets_its_event_and_its_close(
    implementation: Implementation, serve: Serve
) -> None:
    async with running(serve, implementation) as (gateway, _, url):
        async with entered(url, "takes over") as older:
            await gateway.broadcaster.broadcast_to_all("text", 0)
            async with entered(url, "takes over"):
                last = {"type": "kick", "data": {"by": "another"}}
                assert await rest(older) == ([LAST[0], last], (4409, "elsewhere"))
                assert gateway.left == ["forced close"]
