"""Oversized messages are refused when they are created or while they arrive, and never buffered."""

from __future__ import annotations

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, ConnectionClosedError

from asgi_realtime import Limits, PayloadTooLarge
from tests.support.attackers import entered, still_answers
from tests.support.raw_engineio import TRANSPORTS, TransportName, read_until_closed
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.target_app import Target
from tests.support.target_process import target_process

MEBIBYTE = 1 << 20


@pytest.mark.parametrize("payload", ["x" * 33_000_000, b"x" * 33_000_000], ids=["text", "bytes"])
async def test_a_huge_broadcast_is_refused_at_the_publisher(serve: Serve, payload: str | bytes) -> None:
    target = Target()
    server = await serve(target.app)
    async with entered(server, "one") as one, entered(server, "two", "polling") as two:
        with pytest.raises(PayloadTooLarge):
            await target.realtime.broadcaster.broadcast_to_room("everybody", "event", payload)
        for client in (one, two):
            await still_answers(client)


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_the_largest_broadcast_allowed_arrives(serve: Serve, transport: TransportName) -> None:
    target = Target()
    server = await serve(target.app)
    size = Limits().publication_bytes - len('""')
    if transport == "websocket":
        async with connect(f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket", max_size=None) as socket:
            await socket.recv()
            await socket.send('40{"name":"one"}')
            await socket.recv()
            await target.realtime.broadcaster.broadcast_to_room("everybody", "event", "x" * size)
            message = str(await socket.recv())[1:]
    else:
        async with entered(server, "one", transport) as client:
            await target.realtime.broadcaster.broadcast_to_room("everybody", "event", "x" * size)
            message = str(await client.receive())
    assert len(message) == size + len('2["event",""]')


@contextlib.asynccontextmanager
async def polling_session(server: LiveServer) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    async with httpx.AsyncClient(timeout=20) as http, entered(server, "polling", "polling") as client:
        yield http, f"{server.url}/socket.io/?EIO=4&transport=polling&sid={client.handshake['sid']}"


async def chunks(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield b"4" * 65_536


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_chunked_post_without_a_length_is_refused_as_it_comes_in(
    serve: Serve, implementation: Implementation
) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    async with polling_session(server) as (http, url):
        response = await http.post(url, content=chunks(160))
        assert response.status_code == 413
    await target.emptied()
    assert target.gateway.left == [("polling", "transport error")]


async def test_chunked_posts_use_no_memory(tmp_path: Path) -> None:
    async with target_process(tmp_path) as process:
        before = process.forget_peak()
        for _ in range(3):
            async with polling_session(process.server) as (http, url):
                assert (await http.post(url, content=chunks(160))).status_code == 413
        assert process.peak - before < 4 * MEBIBYTE
    assert "Traceback" not in process.output


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_a_frame_of_15_megabytes_is_closed_with_1009(serve: Serve, implementation: Implementation) -> None:
    target = Target()
    server = await serve(target.app, implementation)
    url = f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket"
    socket = await connect(url, compression=None)
    await socket.recv()
    with pytest.raises(ConnectionClosedError) as closed:
        await socket.send("4" + "x" * 15_000_000)
        await socket.recv()
    assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
    # `socket.close()` would abort the transport, which fails on Python 3.11 just after its buffer was emptied.
    socket.transport.close()
    await socket.wait_closed()
    await target.emptied()


@pytest.mark.parametrize(
    ("implementation", "megabytes", "bombs", "options", "cost"),
    [
        # Uvicorn inflates up to its --ws-max-size, by default 16 MiB, one frame at a time; we refuse the message.
        ("websockets-sansio", 2, 12, (), 32 * MEBIBYTE),
        ("wsproto", 2, 12, (), 64 * MEBIBYTE),
        # It refuses the frame itself. A later garbage collection frees what it had inflated.
        ("websockets-sansio", 20, 3, (), 128 * MEBIBYTE),
        ("wsproto", 20, 3, (), 128 * MEBIBYTE),
        # With our own limit as its --ws-max-size nothing larger is inflated (wsproto inflates a whole frame first).
        ("websockets-sansio", 20, 12, ("--ws-max-size", "1000000"), 16 * MEBIBYTE),
    ],
)
async def test_a_small_frame_that_inflates_is_closed_with_1009_and_its_memory_is_bounded(
    tmp_path: Path, implementation: str, megabytes: int, bombs: int, options: tuple[str, ...], cost: int
) -> None:
    bomb = "4" + "x" * (megabytes * 1_000_000)
    assert len(zlib.compress(bomb.encode())) < 25_000
    environ = {"MEW_FAST_WRITES": "false"}  # else the package serves the WebSocket, without compression
    async with target_process(tmp_path, "--ws", implementation, *options, environ=environ) as process:
        url = f"{process.server.websocket_url}/socket.io/?EIO=4&transport=websocket"
        before = process.forget_peak()
        for _ in range(bombs):
            async with connect(url) as socket:
                assert socket.response is not None
                assert "permessage-deflate" in socket.response.headers["Sec-WebSocket-Extensions"]
                await socket.recv()
                await socket.send(bomb)
                with pytest.raises(ConnectionClosed) as closed:
                    await socket.recv()
                assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009
        assert process.peak - before < cost
        async with entered(process.server, "another") as another:
            await still_answers(another)
    assert "Traceback" not in process.output


IMPOSSIBLE = [
    '51000000-["echo",{"_placeholder":true,"num":0}]',
    '511-["echo"]',
    '51-["echo",{"_placeholder":true,"num":-1}]',
    '51-["echo",{"_placeholder":true,"num":1}]',
    '51-["echo",{"_placeholder":true,"num":0.5}]',
    '51-["echo",{"_placeholder":true,"num":"0"}]',
    '51-["echo",{"_placeholder":true}]',
    '52-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]',
    '5-1-["echo",{"_placeholder":true,"num":0}]',
    '51-["echo"]',
    '61000000-0[{"_placeholder":true,"num":0}]',
]


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_invalid_attachments_end_the_session(serve: Serve, transport: TransportName) -> None:
    target = Target()
    server = await serve(target.app)
    for packet in IMPOSSIBLE:
        async with entered(server, "hostile", transport) as client:
            with contextlib.suppress(ConnectionClosed):
                await client.send(packet, b"attachment", '2["echo",1]')
            assert await read_until_closed(client) == [], packet
        await target.emptied()
        assert target.gateway.left.pop() == ("hostile", "parse error"), packet
    assert target.gateway.received == []


async def test_announced_attachments_that_never_arrive_leave_nothing_behind(serve: Serve) -> None:
    target = Target()
    server = await serve(target.app)
    async with entered(server, "hostile") as client:
        await client.send('510-["echo",' + ",".join(f'{{"_placeholder":true,"num":{n}}}' for n in range(10)) + "]")
        await client.send(b"one")
        await client.send('2["echo",1]')
        assert await read_until_closed(client) == []
    async with asyncio.timeout(1):
        await target.emptied()
