"""The HTTP class for uvicorn: only idle connections and incomplete headers time out."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from asgi_realtime.uvicorn import HTTPProtocol
from asgi_realtime.uvicorn.http import HeaderDeadline
from tests.support.client_frames import text
from tests.support.protocol_server import protocol_server
from tests.support.raw_websocket import PATIENCE, RawWebSocket, connect, request

WHOLE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"GET / HTTP/1.1\r\nHost: x\r\nX-More: "


class OnH11(HeaderDeadline, H11Protocol):
    header_timeout = 0.2


class OnHttpTools(HeaderDeadline, HttpToolsProtocol):
    header_timeout = 0.2


class PatientH11(HeaderDeadline, H11Protocol):
    header_timeout = 60.0


class PatientHttpTools(HeaderDeadline, HttpToolsProtocol):
    header_timeout = 60.0


CLASSES = [OnH11, OnHttpTools]


async def answer(request: Request) -> PlainTextResponse:
    return PlainTextResponse(str(len(await request.body())))


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (event := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": event["text"]})
    else:
        await Starlette(routes=[Route("/", answer, methods=["GET", "POST"])])(scope, receive, send)


async def read_until_closed(client: RawWebSocket) -> bytes:
    """Wait for the end of the connection. Returns the bytes before it."""
    async with asyncio.timeout(PATIENCE):
        try:
            return await client.reader.read()
        except ConnectionResetError:
            return b""  # it was still sending


def test_the_http_protocol_derives_from_uvicorns_class() -> None:
    assert issubclass(HTTPProtocol, HttpToolsProtocol | H11Protocol)


@pytest.mark.parametrize("http", CLASSES)
@pytest.mark.parametrize("sent", [b"", b"G", HALF, request()[:-2]])
async def test_a_connection_with_an_incomplete_header_is_closed(http: Any, sent: bytes) -> None:
    async with protocol_server(app, http=http) as server, connect(server.port) as client:
        await client.send(sent)
        assert await read_until_closed(client) == b""


@pytest.mark.parametrize("http", CLASSES)
async def test_a_connection_whose_header_arrives_too_slowly_is_closed(http: Any) -> None:
    async with protocol_server(app, http=http) as server, connect(server.port) as client:
        await client.send(HALF)
        ended = asyncio.create_task(read_until_closed(client))
        while not ended.done():
            client.writer.write(b"x")
            await asyncio.sleep(0.01)
        assert await ended == b""


@pytest.mark.parametrize("http", CLASSES)
async def test_the_header_of_a_later_request_has_the_same_timeout(http: Any) -> None:
    async with (
        protocol_server(app, http=http, timeout_keep_alive=PATIENCE * 2) as server,
        connect(server.port) as client,
    ):
        await client.send(WHOLE)
        assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
        assert await client.reader.readexactly(1) == b"0"
        await client.send(HALF)
        assert await read_until_closed(client) == b""


@pytest.mark.parametrize("http", [PatientH11, PatientHttpTools])
async def test_the_header_timeout_ends_with_the_header(http: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A body, the pause between two requests and a WebSocket may last longer than a header."""
    loop = asyncio.get_running_loop()
    real, passed = loop.time, 0.0
    monkeypatch.setattr(loop, "time", lambda: real() + passed)
    async with protocol_server(app, http=http, timeout_keep_alive=10_000) as server:
        async with connect(server.port) as client, connect(server.port) as socket, connect(server.port) as silent:
            await socket.send(request())
            assert (await socket.read_head()).startswith(b"HTTP/1.1 101 ")
            await client.send(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n12")
            passed = 100.0
            assert await read_until_closed(silent) == b"", "the time has passed"
            await client.send(b"34")
            assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
            assert await client.reader.readexactly(1) == b"4"
            async with connect(server.port) as silent_too:
                await silent_too.send(HALF)
                passed = 200.0
                assert await read_until_closed(silent_too) == b"", "a second time"
            await client.send(WHOLE)
            assert (await client.read_head()).startswith(b"HTTP/1.1 200 ")
            await socket.send(text("still here"))
            assert await socket.next() == (1, b"still here")
