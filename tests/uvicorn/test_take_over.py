"""Writing without `send` on a stock uvicorn: conditions, order of frames, and clients that stall."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import Any, cast

import pytest
from fastapi import FastAPI

from asgi_realtime import Connection, Handshake, Identity, RealtimeMiddleware, Settings, SocketIOGateway, on
from tests.support.certificates import tls_contexts
from tests.support.client_frames import text
from tests.support.protocol_server import protocol_server
from tests.support.raw_engineio import RawWebSocketClient, raw_client
from tests.support.raw_websocket import open_websocket
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.support.wrapped_send import WrappedSend

SETTINGS = Settings()


class Room(SocketIOGateway):
    def __init__(self) -> None:
        super().__init__(authenticator=self.accept_all)

    async def accept_all(self, handshake: Handshake) -> Identity:
        return Identity(user_id=handshake.auth["user"])

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("room")

    @on("ask")
    async def ask(self, number: int) -> int:
        return number


def is_direct(middleware: RealtimeMiddleware) -> bool:
    (session,) = middleware.realtime.engineio.sessions.values()
    return session.outbox.sink is not None


async def direct(serve: Serve, settings: Settings, implementation: Implementation, wrap: bool = False) -> bool:
    middleware = RealtimeMiddleware(FastAPI(), gateways=[Room()], settings=settings)
    server = await serve(WrappedSend(middleware) if wrap else middleware, implementation)
    async with raw_client(server, "websocket") as client:
        assert (await client.connect({"user": "ann"})).startswith("40")
        return is_direct(middleware)


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_known_servers_are_recognised(serve: Serve, implementation: Implementation) -> None:
    assert await direct(serve, SETTINGS, implementation) == (implementation != "hypercorn")


async def test_no_direct_writes_if_turned_off_or_if_the_host_wraps_send(serve: Serve) -> None:
    assert not await direct(serve, Settings(fast_writes=False), "uvicorn")
    assert not await direct(serve, SETTINGS, "uvicorn", wrap=True)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("fast", [True, False])
async def test_every_client_receives_broadcasts_in_the_same_order(serve: Serve, fast: bool, seed: int) -> None:
    dice = random.Random(seed)
    middleware = RealtimeMiddleware(FastAPI(), gateways=[Room()], settings=Settings(fast_writes=fast))
    server = await serve(middleware, "uvicorn")
    broadcaster = middleware.realtime.broadcaster
    rooms = middleware.realtime.hub.rooms
    async with raw_client(server, "websocket") as ann, raw_client(server, "websocket") as bob:
        clients = {"ann": ann, "bob": bob}
        expected: dict[str, list[str]] = {"ann": [], "bob": []}
        for user, client in clients.items():
            assert (await client.connect({"user": user})).startswith("40")
        for number in range(300):
            to = dice.choice(["room", "all", "ann", "bob", "send", "tick"])
            recipients = list(clients)
            if to == "room":
                await broadcaster.broadcast_to_room("room", "event", number)
            elif to == "all":
                await broadcaster.broadcast_to_all("event", number)
            elif to == "tick":
                await asyncio.sleep(0)
                continue
            elif to == "send":
                recipients = [dice.choice(recipients)]
                (connection,) = rooms(broadcaster_gateway(middleware)).of_user(recipients[0])  # type: ignore[arg-type]
                await connection.public.send("event", number)
            else:
                recipients = [to]
                await broadcaster.broadcast_to_user(to, "event", number)
            for user in recipients:
                expected[user].append(f'42["event",{number}]')
        await broadcaster.broadcast_to_all("end")
        for user, client in clients.items():
            assert await client.until("end") == expected[user]


def broadcaster_gateway(middleware: RealtimeMiddleware) -> Any:
    return next(iter(middleware.realtime.registry))


async def test_bytes_the_kernel_does_not_accept_are_sent_later(serve: Serve) -> None:
    middleware = RealtimeMiddleware(FastAPI(), gateways=[Room()], settings=SETTINGS)
    server = await serve(middleware, "uvicorn")
    broadcaster = middleware.realtime.broadcaster
    async with raw_client(server, "websocket") as client:
        assert (await client.connect({"user": "ann"})).startswith("40")
        (session,) = middleware.realtime.engineio.sessions.values()
        text = "x" * 100_000
        sent = 0
        while not session.outbox.size:  # until the buffers of kernel and client are full
            await broadcaster.broadcast_to_all("event", {"number": sent, "text": text})
            sent += 1
        assert not is_direct(middleware)
        await broadcaster.broadcast_to_user("ann", "last")
        packets = await client.until("last")
        assert [number_of(packet) for packet in packets] == list(range(sent))
        await answer(client)
        assert is_direct(middleware)


def number_of(packet: str) -> int:
    return int(packet[packet.index(":") + 1 : packet.index(",", packet.index(":"))])


async def answer(client: RawWebSocketClient) -> None:
    await client.emit("ask", 1, ack="7")
    assert await client.next() == "437[1]"


async def test_under_tls_too_each_frame_is_written_at_once(tmp_path: Path) -> None:
    middleware = RealtimeMiddleware(FastAPI(), gateways=[Room()], settings=SETTINGS)
    at_server, at_client = tls_contexts(tmp_path)
    path = "/socket.io/?EIO=4&transport=websocket"
    async with protocol_server(middleware, protocol=cast("Any", "websockets-sansio"), tls=at_server) as server:
        async with open_websocket(server.port, path, tls=at_client) as client:
            await client.send(text('40{"user":"ann"}'))
            for opening in (b"0", b"40"):
                assert (await client.next())[1].startswith(opening)
            for number in range(20):
                await middleware.realtime.broadcaster.broadcast_to_all("event", number)
                await asyncio.sleep(0)  # one tick for each, so that frames are not joined
                assert is_direct(middleware)
            frames = [(await client.next())[1] for _ in range(20)]
            assert frames == [f'42["event",{number}]'.encode() for number in range(20)]
