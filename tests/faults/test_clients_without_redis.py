"""The behaviour of clients while Redis is away, with `MEW_ON_BROKER_DOWN=raise` and with `local`."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from typing import Literal

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from asgi_realtime import (
    BrokerUnavailable,
    Connection,
    Handshake,
    Identity,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    get_broadcaster,
    on,
)
from tests.support.node_client import Node, Received
from tests.support.redis_proxy import RedisProxy, redis_proxy
from tests.support.redis_server import RedisProcess
from tests.support.servers import LiveServer, Serve
from tests.support.waiting import until


async def accept_all(handshake: Handshake) -> Identity:
    return Identity(user_id=secrets.token_hex(4))


class Site(SocketIOGateway):
    @on("join")
    async def join(self, connection: Connection, room: str) -> str:
        await connection.join(room)
        return room


async def broadcast(request: Request) -> JSONResponse:
    broadcaster = await get_broadcaster(request)
    try:
        receipt = await broadcaster.broadcast_to_room("lobby", "news", request.query_params["text"])
    except BrokerUnavailable:
        return JSONResponse("unavailable", 503)
    return JSONResponse({"delivered": receipt.delivered_locally, "replicated": receipt.replicated})


async def healthz(request: Request) -> JSONResponse:
    broadcaster = await get_broadcaster(request)
    return JSONResponse(None, 200 if broadcaster.ready and broadcaster.sync.ready else 503)


@pytest.fixture
async def proxy(redis_process: RedisProcess) -> AsyncIterator[RedisProxy]:
    async with redis_proxy(redis_process.socket) as proxy:
        yield proxy


async def served(serve: Serve, proxy: RedisProxy, policy: Literal["raise", "local"]) -> LiveServer:
    app = Starlette(routes=[Route("/broadcast", broadcast), Route("/healthz", healthz)])
    settings = Settings(
        jwt_secret="a secret for tests that is long enough",
        redis_url=proxy.url,
        redis_prefix=f"test-{secrets.token_hex(4)}",
        on_broker_down=policy,
        publish_timeout=0.4,
    )
    site = Site("/", authenticator=accept_all)
    return await serve(
        RealtimeMiddleware(app, gateways=[site, WebSocketGateway("/ws", authenticator=accept_all)], settings=settings)
    )


async def until_health(server: LiveServer, status: int) -> None:
    async with httpx.AsyncClient() as http, asyncio.timeout(10):
        while True:
            if (await http.get(server.url + "/healthz")).status_code == status:
                return
            await asyncio.sleep(0.02)


async def cut_off(server: LiveServer, proxy: RedisProxy) -> None:
    proxy.refusing = True
    proxy.cut()
    await until_health(server, 503)


@pytest.mark.parametrize("transports", [["websocket"], ["polling"], ["polling", "websocket"]])
async def test_a_stock_client_that_comes_while_redis_is_away_connects_by_itself_afterwards(
    serve: Serve, node: Node, proxy: RedisProxy, transports: list[str]
) -> None:
    server = await served(serve, proxy, "raise")
    await until_health(server, 200)
    await cut_off(server, proxy)
    client = await node.connect(
        server.url, "/", transports=transports, reconnection=True, reconnectionDelay=100, wait=False
    )
    await until(lambda: len(client.disconnects) >= 2)  # it has tried to connect again
    assert not client.connected
    assert client.refusal is None
    proxy.refusing = False
    await client.connection(timeout=20)
    assert await client.call("join", "lobby") == ["lobby"]


async def test_a_json_client_that_comes_while_redis_is_away_is_told_to_come_back(
    serve: Serve, proxy: RedisProxy
) -> None:
    server = await served(serve, proxy, "raise")
    await cut_off(server, proxy)
    async with websockets.connect(server.websocket_url + "/ws?token=x") as client:
        with pytest.raises(websockets.ConnectionClosed):
            while True:
                await client.recv()
        assert client.close_code == 1013


async def test_with_local_clients_connect_join_and_receive_while_redis_is_away(
    serve: Serve, node: Node, proxy: RedisProxy
) -> None:
    server = await served(serve, proxy, "local")
    await until_health(server, 200)
    before = await node.connect(server.url, "/")
    await before.call("join", "lobby")
    await cut_off(server, proxy)
    client = await node.connect(server.url, "/")
    assert await client.call("join", "lobby") == ["lobby"]
    async with httpx.AsyncClient() as http:
        response = await http.get(server.url + "/broadcast", params={"text": "1"})
        assert response.json() == {"delivered": 2, "replicated": False}
        async with websockets.connect(server.websocket_url + "/ws?token=x") as json_client:
            await json_client.send(json.dumps({"type": "ping"}))
            while json.loads(await json_client.recv())["type"] != "pong":
                pass
        proxy.refusing = False
        await until_health(server, 200)
        await http.get(server.url + "/broadcast", params={"text": "2"})
    for each in (before, client):
        await each.expect("news")
        await each.expect("news")
        assert [received for received in each.events if received.event == "news"] == [
            Received("news", ["1"]),
            Received("news", ["2"]),
        ]


async def test_with_raise_a_broadcast_fails_in_time_and_clients_stay_connected(
    serve: Serve, node: Node, proxy: RedisProxy
) -> None:
    server = await served(serve, proxy, "raise")
    await until_health(server, 200)
    client = await node.connect(server.url, "/")
    await client.call("join", "lobby")
    await cut_off(server, proxy)
    async with httpx.AsyncClient() as http:
        async with asyncio.timeout(2):
            assert (await http.get(server.url + "/broadcast", params={"text": "lost"})).status_code == 503
        proxy.refusing = False
        await until_health(server, 200)
        assert (await http.get(server.url + "/broadcast", params={"text": "news"})).json()["delivered"] == 1
    assert (await client.expect("news")).args == ["news"]
    assert client.connected
    assert client.disconnects == []
