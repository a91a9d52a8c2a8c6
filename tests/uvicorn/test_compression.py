"""Compression in the protocol class, as in sections 12 and 13 of Autobahn, and broadcasts compressed once.

- Section 12, messages of every size and kind: `test_messages_of_every_size_are_echoed`. A thousand in a row:
  `test_a_thousand_messages_in_a_row_are_echoed`.
- Sections 13.1 and 13.2, no context on either side: `test_messages_of_every_size_are_echoed`.
- Sections 13.3 to 13.7, windows of each size, alone and one offer after another:
  `test_every_window_size_of_a_client_is_read`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
import websockets
from starlette.applications import Starlette
from starlette.types import Receive, Scope, Send
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory

from asgi_realtime import (
    Connection,
    Handshake,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
)
from asgi_realtime.outbound.frames_extension import EXTENSION
from asgi_realtime.protocols.rfc6455.deflate import inflate
from asgi_realtime.values.ids import UserId
from tests.support.client_frames import BINARY, CLOSE, TEXT, close, deflated, frame, text
from tests.support.protocol_server import PATIENCE, ProtocolServer, protocol_server
from tests.support.raw_websocket import RawWebSocket, open_websocket

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
MAX_SIZE = 2_000_000


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Echo with compression if it is offered; below `/never` without compression."""
    await receive()
    scope["extensions"][EXTENSION].deflate = scope["path"] != "/never"
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({**event, "type": "websocket.send"})


@pytest.fixture
async def server() -> AsyncIterator[ProtocolServer]:
    async with protocol_server(echo, ws_max_size=MAX_SIZE, lifespan="off") as server:
        yield server


def client(server: ProtocolServer, *offers: ClientPerMessageDeflateFactory) -> Any:
    return websockets.connect(
        f"ws://127.0.0.1:{server.port}/",
        compression=None,
        extensions=offers or [ClientPerMessageDeflateFactory()],
        max_size=None,
    )


async def test_messages_of_every_size_are_echoed(server: ProtocolServer) -> None:
    words = json.dumps([{"id": number, "name": f"user {number}"} for number in range(30_000)])
    for alone in (False, True):
        offer = ClientPerMessageDeflateFactory(server_no_context_takeover=alone, client_no_context_takeover=alone)
        async with client(server, offer) as socket, asyncio.timeout(PATIENCE):
            (extension,) = socket.protocol.extensions
            assert extension.remote_no_context_takeover and extension.local_no_context_takeover
            for size in (0, 16, 64, 125, 126, 127, 128, 256, 1024, 4096, 65_535, 65_536, 131_072, 1_000_000):
                for message in (words[:size], words[:size].encode()):
                    await socket.send(message)
                    assert await socket.recv() == message
            await socket.send([words[:40_000], words[40_000:80_000], ""])  # in fragments
            assert await socket.recv() == words[:80_000]


async def test_a_thousand_messages_in_a_row_are_echoed(server: ProtocolServer) -> None:
    async with client(server) as socket, asyncio.timeout(PATIENCE * 3):
        for size in (16, 1024, 8192):
            messages = [f"{number} " * size for number in range(300)]
            sending = asyncio.create_task(send_all(socket, messages))
            for message in messages:
                assert await socket.recv() == message
            await sending


async def send_all(socket: Any, messages: Sequence[str]) -> None:
    for message in messages:
        await socket.send(message)


@pytest.mark.parametrize("bits", [8, 9, 12, 15])
async def test_every_window_size_of_a_client_is_read(server: ProtocolServer, bits: int) -> None:
    message = "abc" * 20_000
    # A client may have a window of any size.
    headers = f"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits={bits}\r\n"
    async with open_websocket(server.port, headers=headers) as raw:
        assert b"permessage-deflate" in raw.head
        await raw.send(deflated(TEXT, message.encode(), bits=max(bits, 9)) + close(1000))
        assert await raw.rest() == [(TEXT, message.encode()), (CLOSE, (1000).to_bytes(2))]
    # The server has one window size: a client that requires another gets no compression, or its next offer.
    smaller = f"permessage-deflate; server_max_window_bits={bits}"
    for offers, agreed in ((smaller, bits == 15), (f"{smaller}, permessage-deflate", True)):
        async with open_websocket(server.port, headers=f"Sec-WebSocket-Extensions: {offers}\r\n") as raw:
            assert (b"permessage-deflate" in raw.head) is agreed


async def test_messages_are_compressed_only_if_requested_and_offered(server: ProtocolServer) -> None:
    for path, headers in (("/never", OFFER), ("/", "")):
        async with open_websocket(server.port, path, headers) as raw:
            assert b"sec-websocket-extensions" not in raw.head.lower()
            await raw.send(deflated(TEXT, b"a"))
            assert [(opcode, payload[:2]) for opcode, payload in await raw.rest()] == [(CLOSE, (1002).to_bytes(2))]


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, b"\xff\xff\xff", reserved=4), 1007),
        (deflated(TEXT, b"\xff"), 1007),
        (frame(TEXT, b"a", reserved=2), 1002),
        (frame(9, b"a", reserved=4), 1002),
        (deflated(BINARY, b"\x00" * (MAX_SIZE + 1)), 1009),
        (deflated(BINARY, b"\x00" * 100 * MAX_SIZE), 1009),
    ],
)
async def test_an_invalid_compressed_message_closes_the_websocket(
    server: ProtocolServer, sent: bytes, code: int
) -> None:
    async with open_websocket(server.port, headers=OFFER) as raw:
        await raw.send(deflated(TEXT, b"good") + sent)
        got = [(opcode, payload[:2]) for opcode, payload in await raw.rest()]
        assert got == [(TEXT, b"go"), (CLOSE, code.to_bytes(2))]


# Broadcasts


class AcceptAll:
    async def __call__(self, handshake: Handshake) -> Identity:
        return Identity(user_id=UserId("ann"))


class JSONRoom(WebSocketGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("room")


class SocketIORoom(SocketIOGateway):
    async def on_connect(self, connection: Connection) -> None:
        await connection.join("room")


async def next_frame(raw: RawWebSocket) -> bytes:
    """The bytes of the next frame."""
    async with asyncio.timeout(PATIENCE):
        head = await raw.reader.readexactly(2)
        more = await raw.reader.readexactly({126: 2, 127: 8}.get(head[1], 0))
        return head + more + await raw.reader.readexactly(int.from_bytes(more) if more else head[1])


@pytest.mark.parametrize("kind", ["JSON", "Socket.IO"])
async def test_a_large_broadcast_is_compressed_once_beside_clients_that_do_not_want_it(kind: str) -> None:
    gateway = (
        JSONRoom("/room", authenticator=AcceptAll()) if kind == "JSON" else SocketIORoom(authenticator=AcceptAll())
    )
    middleware = RealtimeMiddleware(Starlette(), gateways=[gateway], settings=Settings(compression=True))
    path = "/room" if kind == "JSON" else "/socket.io/?EIO=4&transport=websocket&recovery=false"
    async with (
        protocol_server(middleware) as server,
        open_websocket(server.port, path, OFFER) as one,
        open_websocket(server.port, path, OFFER) as two,
        open_websocket(server.port, path) as plain,
    ):
        clients = (one, two, plain)
        for raw in clients:
            if kind == "Socket.IO":
                await next_frame(raw)
                await raw.send(text("40"))
            else:
                await raw.send(text('{"type":"auth"}'))
            assert (await next_frame(raw))[0] == 0x81
        data = {"text": "a sentence that comes again. " * 500}
        await middleware.broadcaster.broadcast_to_room("room", "small", {})
        await middleware.broadcaster.broadcast_to_room("room", "large", data)
        await middleware.broadcaster.broadcast_to_room("room", "small", {})
        wires = [[await next_frame(raw) for _ in range(3)] for raw in clients]
        assert wires[0] == wires[1]
        assert wires[0][0] == wires[2][0] and wires[0][2] == wires[2][2]
        large, same = wires[0][1], wires[2][1]
        assert (large[0], same[0]) == (0xC1, 0x81)
        assert len(large) < len(same) / 10
        assert inflate(large[2 if large[1] < 126 else 4 :], MAX_SIZE) == same[4:]
        assert json.dumps(data["text"]).encode() in same
