"""Behind real proxies with the configurations of docs/operations/deployment.md: clients, addresses, time limits."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from tests.support.deployed import create_app
from tests.support.deployed_clients import SETTINGS, deployed_clients, next_data, token
from tests.support.node_client import Node
from tests.support.proxies import Proxy, haproxy, nginx
from tests.support.raw_engineio import raw_client
from tests.support.servers import LiveServer, Serve

SHORT: Mapping[Proxy, Mapping[str, str]] = {
    nginx: {"proxy_read_timeout 60s;": "proxy_read_timeout 1s;"},
    haproxy: {"timeout tunnel 60s": "timeout tunnel 1s"},
}
"""Limits of 1 s for a WebSocket on which nothing is sent."""
FORGED = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}


@pytest.fixture(params=[nginx, haproxy], ids=["nginx", "haproxy"])
def proxy(request: pytest.FixtureRequest) -> Proxy:
    found: Proxy = request.param
    return found


async def test_stock_clients_are_served(proxy: Proxy, serve: Serve, node: Node, tmp_path: Path) -> None:
    server = await serve(create_app(SETTINGS))
    async with proxy(tmp_path, server.port) as port, deployed_clients(f"http://127.0.0.1:{port}", node) as clients:
        await clients.check(1)


async def test_the_address_of_a_client_is_its_own_whatever_it_claims(
    proxy: Proxy, serve: Serve, node: Node, tmp_path: Path
) -> None:
    server = await serve(create_app(SETTINGS))
    async with proxy(tmp_path, server.port) as port:
        url = f"http://127.0.0.1:{port}"
        for address in ("127.0.0.1", "127.0.0.2"):
            from_there = httpx.AsyncHTTPTransport(local_address=address)
            async with httpx.AsyncClient(transport=from_there, headers=FORGED) as http:
                assert (await http.get(f"{url}/who")).json()["address"] == address
            async with connect(
                f"ws://127.0.0.1:{port}/news?token={token()}",
                local_addr=(address, 0),
                additional_headers=FORGED,
            ) as news:
                assert await next_data(news, "address") == address
        client = await node.connect(url, auth={"token": token()}, headers=FORGED)
        assert await client.call("address") == ["127.0.0.1"]
        await client.disconnect()


async def test_metrics_are_not_public(proxy: Proxy, serve: Serve, tmp_path: Path) -> None:
    server = await serve(create_app(SETTINGS))
    async with proxy(tmp_path, server.port) as port, httpx.AsyncClient(follow_redirects=True) as http:
        assert "realtime_connections{" in (await http.get(f"{server.url}/metrics")).text
        for path in ("/metrics", "/metrics?x", "/%6detrics", "/metrics/"):
            answer = await http.get(f"http://127.0.0.1:{port}{path}")
            assert (answer.status_code, "realtime_" in answer.text) == (404, False), path
        assert (await http.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200


async def test_heartbeats_keep_an_idle_connection(proxy: Proxy, serve: Serve, tmp_path: Path) -> None:
    server = await serve(create_app(dataclasses.replace(SETTINGS, ping_interval=0.4)))
    async with proxy(tmp_path, server.port, changes=SHORT[proxy]) as port:
        through = LiveServer(port, server.stop)
        async with raw_client(through, "websocket") as client:
            assert (await client.connect({"token": token()})).startswith("40")
            while client.pings < 5:  # for 2 s
                assert await client.receive_packet() == "2"
                client.pings += 1
                await client.pong()


async def test_a_time_limit_below_the_heartbeat_ends_an_idle_connection(
    proxy: Proxy, serve: Serve, node: Node, tmp_path: Path
) -> None:
    server = await serve(create_app(SETTINGS))
    async with proxy(tmp_path, server.port, changes=SHORT[proxy]) as port:
        client = await node.connect(f"http://127.0.0.1:{port}", auth={"token": token()}, transports=["websocket"])
        assert await client.disconnection() == "transport close"
