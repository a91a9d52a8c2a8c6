"""Servers that have no gateway, do not answer, or send what no gateway sends."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets
from websockets.asyncio.server import ServerConnection

from asgi_realtime.client import Connected, NotConnected, Refused
from asgi_realtime.client.link import Session
from asgi_realtime.client.socketio_link import SocketIOLink
from asgi_realtime.client.websocket_link import WebSocketLink
from tests.support.clients import counters
from tests.support.returning_clients import counters_client, middleware, workshop_client
from tests.support.servers import Serve


async def test_an_address_that_serves_no_gateway_is_refused(serve: Serve) -> None:
    server = await serve(middleware())
    with pytest.raises(Refused, match="HTTP 40"):
        await counters_client(f"{server.url}/elsewhere").connect()
    with pytest.raises(Refused, match="HTTP 403"):
        await counters_client(server.url, headers={"Origin": "https://evil.example"}).connect()
    with pytest.raises(NotConnected):
        await workshop_client(server.url, socketio_path="elsewhere").connect()
    with pytest.raises(ValueError, match="looks like https"):
        counters_client("example.com")


async def test_a_server_that_does_not_answer_is_given_up() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for make in (counters_client, workshop_client):
            with pytest.raises(NotConnected, match="did not answer within 0.1 s"):
                await make(url, timeout=0.1).connect()


@pytest.mark.parametrize("text", [None, "no packet", "", "0{}", "0[1]"])
async def test_a_websocket_that_does_not_begin_as_socketio_is_no_connection(text: str | None) -> None:
    """None: it is closed at once, as by a proxy without a server behind it, or a server that is full."""

    async def answer(connection: ServerConnection) -> None:
        if text is None:
            await connection.close(1013)
        else:
            await connection.send(text)
            await connection.wait_closed()

    async with websockets.serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        with pytest.raises(NotConnected, match="did not answer as Socket.IO does"):
            await workshop_client(f"http://127.0.0.1:{port}").connect()


async def test_an_answer_that_is_cut_off_is_no_connection() -> None:
    async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n0{")
        writer.close()

    async with await asyncio.start_server(cut, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        for transport in ("polling", "websocket"):
            with pytest.raises(NotConnected):
                await workshop_client(url, transports=[transport]).connect()


async def test_a_function_for_tokens_that_does_not_return_is_given_up() -> None:
    async def token() -> str:
        await asyncio.Event().wait()
        return ""

    for make in (counters_client, workshop_client):
        with pytest.raises(NotConnected, match="no credentials"):
            await make("http://127.0.0.1:1", token, timeout=0.05).connect()


@pytest.mark.parametrize(
    "recovery", [True, {"id": 1, "position": "a", "recovered": True}, {"id": "a", "position": "a"}, None]
)
async def test_frames_that_no_gateway_sends_do_not_end_a_client(recovery: object) -> None:
    async def answer(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send(json.dumps({"type": "auth_success", "data": {"recovery": recovery}}))
        for text in ("[" * 100_000, "no JSON", "7", '{"type": 7}', '{"type": "cleared"}'):
            await connection.send(text)
        await connection.wait_closed()

    async with websockets.serve(answer, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        async with counters_client(f"http://127.0.0.1:{port}") as client:
            assert await client.expect(Connected) is False
            await client.expect(counters.ClearedEvent)


async def test_links_do_not_show_their_secrets() -> None:
    options: dict[str, Any] = {"auth": "the secret", "headers": {"Cookie": "the secret"}, "classes": {}, "put": print}
    options |= {"token_place": "auth", "token_name": "token"}
    session = Session({"id": "the secret"})
    json_link = WebSocketLink(
        url="",
        flat_auth=False,
        accepted=None,
        ping_interval=1,
        max_bytes=1,
        session=session,
        **options,
    )
    socketio_link = SocketIOLink(url="", namespace="/", transports=[], timeout=1, **options)
    for each in (json_link, socketio_link, session):
        assert "secret" not in repr(each)
