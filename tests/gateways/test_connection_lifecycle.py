"""What a connection keeps once it is open, and which of its events are handled after its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asgi_realtime import Connection, Handshake, Identity, Realtime, Settings, SocketIOGateway, on
from asgi_realtime.connection.connection import internal
from tests.support.recording import RecordingTransport


async def accept_all(handshake: Handshake) -> Identity:
    return Identity(user_id="ann")


class Notes(SocketIOGateway):
    """Records the handshake of `on_connect`, and notes whose handler waits until `go` is set."""

    def __init__(self) -> None:
        super().__init__(authenticator=accept_all)
        self.handshakes: list[Handshake] = []
        self.noted: list[int] = []
        self.begun, self.go = asyncio.Event(), asyncio.Event()

    async def on_connect(self, connection: Connection) -> None:
        self.handshakes.append(connection.handshake)

    @on("note")
    async def note(self, number: int) -> None:
        self.begun.set()
        await self.go.wait()
        self.noted.append(number)


class UnknownAnswers(RecordingTransport):
    """Fails if it is asked when its client has last answered, which a recovery session depends on."""

    failing = False

    def __getattribute__(self, name: str) -> object:
        if name == "answered_at" and self.failing:
            raise LookupError("of the transport")
        return super().__getattribute__(name)


@asynccontextmanager
async def opened(handshake: Handshake) -> AsyncIterator[tuple[Realtime, Notes, Connection]]:
    gateway = Notes()
    async with Realtime(gateways=[gateway], settings=Settings()) as realtime:
        yield realtime, gateway, await gateway.open(handshake, RecordingTransport(gateway=gateway))


async def test_credentials_are_dropped_when_the_client_is_connected() -> None:
    presented = Handshake(
        gateway="/",
        headers={"authorization": "Bearer secret", "cookie": "session=secret"},
        cookies={"session": "secret"},
        query={"lang": "en"},
        auth={"token": "secret"},
    )
    async with opened(presented) as (_, gateway, connection):
        assert gateway.handshakes == [presented]
        kept = connection.handshake
        assert (dict(kept.headers), dict(kept.cookies), kept.auth) == ({}, {}, None)
        assert kept.query == {"lang": "en"}


@pytest.mark.parametrize(("ended_by", "noted"), [("the server", [1]), ("the client", [1, 2, 3])])
async def test_queued_events_are_dropped_only_if_the_server_ended_the_connection(
    ended_by: str, noted: list[int]
) -> None:
    async with opened(Handshake(gateway="/")) as (realtime, gateway, connection):
        for number in (1, 2, 3):
            gateway.receive(internal(connection), "note", [number], None, time.monotonic())
        await gateway.begun.wait()
        if ended_by == "the server":
            await connection.close()
        else:
            gateway.disconnected(internal(connection), "transport close")
        gateway.go.set()
        await realtime.tasks.until_idle()
        assert gateway.noted == noted


async def test_a_connection_leaves_its_rooms_also_if_its_recovery_session_cannot_be_kept() -> None:
    gateway = Notes()
    async with Realtime(gateways=[gateway], settings=Settings(presence_grace=0.0)) as realtime:
        transport = UnknownAnswers(gateway=gateway)
        connection = await gateway.open(Handshake(gateway="/", auth={"recovery": True}), transport)
        await connection.join("room")
        assert (await realtime.broadcaster.broadcast_to_room("room", "news")).delivered_locally == 1
        transport.failing = True
        gateway.disconnected(internal(connection), "transport close")
        assert connection.closed
        assert (await realtime.broadcaster.broadcast_to_room("room", "news")).delivered_locally == 0
        await realtime.tasks.until_idle()
        assert await realtime.broadcaster.online_users() == set()
