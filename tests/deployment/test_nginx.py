"""Behind a real nginx with the configuration of docs/operations/deployment.md: origins, processes, limits, its log."""

from __future__ import annotations

import dataclasses
import json
import re
import secrets
from pathlib import Path

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.typing import Origin

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway, create_token
from tests.support.node_client import Node, NodeClient
from tests.support.paths import DOCS
from tests.support.proxies import nginx
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.redis_server import RedisProcess
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve
from tests.support.waiting import until

SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")


def app(settings: Settings = SETTINGS) -> RealtimeMiddleware:
    return RealtimeMiddleware(
        Starlette(), gateways=[SocketIOGateway("/"), WebSocketGateway("/news")], settings=settings
    )


async def status_of(port: int, path: str, origin: str) -> int:
    """101, or the HTTP status of a refused WebSocket."""
    try:
        async with connect(f"ws://127.0.0.1:{port}{path}", origin=Origin(origin)) as client:
            await client.recv()
            return 101
    except websockets.InvalidStatus as refused:
        return refused.response.status_code


async def statuses(port: int, origin: str) -> list[int]:
    """The statuses of polling, a Socket.IO WebSocket, and a JSON gateway."""
    async with httpx.AsyncClient(timeout=10) as http:
        polling = await http.get(
            f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling", headers={"Origin": origin}
        )
    return [
        polling.status_code,
        await status_of(port, "/socket.io/?EIO=4&transport=websocket", origin),
        await status_of(port, f"/news?token={create_token('ann', SETTINGS)}", origin),
    ]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_the_same_origin_connects(serve: Serve, implementation: Implementation, tmp_path: Path) -> None:
    server = await serve(app(), implementation)
    async with nginx(tmp_path, server.port) as port:
        assert await statuses(port, f"http://127.0.0.1:{port}") == [200, 101, 101]
        for foreign in (f"http://127.0.0.1:{server.port}", "http://127.0.0.1", f"http://localhost:{port}"):
            assert await statuses(port, foreign) == [403, 403, 403]


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_behind_a_proxy_that_replaces_the_host_header_the_origin_needs_trust(
    serve: Serve, implementation: Implementation, tmp_path: Path
) -> None:
    changes = {
        "Host $http_host;": "Host internal.example;",
        'X-Forwarded-Host "";': "X-Forwarded-Host $host;",
        'X-Forwarded-Port "";': "X-Forwarded-Port $server_port;",
    }
    for trusted, expected in ((("127.0.0.1",), [200, 101, 101]), ((), [403, 403, 403])):
        settings = dataclasses.replace(SETTINGS, trusted_proxies=trusted)
        server = await serve(app(settings), implementation)
        folder = tmp_path / str(len(trusted))
        folder.mkdir()
        async with nginx(folder, server.port, changes=changes) as port:
            assert await statuses(port, f"http://127.0.0.1:{port}") == expected
            assert await statuses(port, "http://internal.example") == ([403] * 3 if trusted else [200, 101, 101])


async def test_a_client_does_not_choose_the_host(serve: Serve, tmp_path: Path) -> None:
    server = await serve(app(dataclasses.replace(SETTINGS, trusted_proxies=("127.0.0.1",))))
    async with nginx(tmp_path, server.port) as port, httpx.AsyncClient() as http:
        headers = {"Origin": "http://evil.example", "X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "80"}
        url = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        assert (await http.get(url, headers=headers)).status_code == 403


async def test_the_limits_of_the_page_are_for_new_sessions(serve: Serve, tmp_path: Path) -> None:
    [lines] = re.findall(r"```nginx\n(.*?)```", (DOCS / "operations/running.md").read_text("utf-8"), re.DOTALL)
    http_lines, _, server_lines = lines.partition("# in server\n")
    assert "rate=20r/s" in http_lines and "burst=100" in server_lines
    http_lines, server_lines = http_lines.replace("20r/s", "1r/m"), server_lines.replace("100 ", "5 ")
    server = await serve(app())
    async with nginx(tmp_path, server.port, http=http_lines, server=server_lines) as port:
        opening = f"http://127.0.0.1:{port}/socket.io/?EIO=4&transport=polling"
        async with httpx.AsyncClient() as http:
            handshake = json.loads((await http.get(opening)).text[1:])
            assert {(await http.get(opening)).status_code for _ in range(9)} == {200, 503}
            connected = await http.post(f"{opening}&sid={handshake['sid']}", content="40")
            assert connected.status_code == 200


async def test_tokens_are_not_in_the_log(serve: Serve, tmp_path: Path) -> None:
    server = await serve(app())
    log = tmp_path / "access.log"
    async with nginx(tmp_path, server.port) as port:
        token = create_token("ann", SETTINGS)
        assert await status_of(port, f"/news?token={token}", f"http://127.0.0.1:{port}") == 101
        await until(lambda: '"GET /news" 101' in log.read_text())
        assert token not in log.read_text()


async def joined_servers(serve: Serve, redis_process: RedisProcess) -> tuple[list[LiveServer], list[RecordedMetrics]]:
    """Two servers of the same application, joined by Redis."""
    settings = dataclasses.replace(
        SETTINGS, redis_url=redis_process.url, redis_prefix=f"test-{secrets.token_hex(4)}", cors_origins=("*",)
    )
    processes = [RecordedMetrics(), RecordedMetrics()]
    apps = [RealtimeMiddleware(Starlette(), settings=settings, metrics=metrics) for metrics in processes]
    return [await serve(app) for app in apps], processes


async def test_a_proxy_that_counts_connections_needs_no_sticky_sessions(
    serve: Serve, node: Node, redis_process: RedisProcess, tmp_path: Path
) -> None:
    servers, processes = await joined_servers(serve, redis_process)
    async with nginx(tmp_path, *[server.port for server in servers]) as port:
        token = create_token("ann", SETTINGS)
        clients = [await node.connect(f"http://127.0.0.1:{port}", auth={"token": token}) for _ in range(6)]
        for client in clients:
            await client.upgraded()
        assert all(metrics.sum("engineio_sessions_opened_total") for metrics in processes)
        assert sum(metrics.sum("relayed_requests_total") for metrics in processes) > 0
        for client in clients:
            await client.disconnect()


async def test_a_hash_on_the_client_avoids_relays(
    serve: Serve, node: Node, redis_process: RedisProcess, tmp_path: Path
) -> None:
    line = "hash $arg_client consistent;"
    assert f"`{line}`" in (DOCS / "operations/deployment.md").read_text("utf-8")
    servers, processes = await joined_servers(serve, redis_process)
    ports = [server.port for server in servers]
    async with nginx(tmp_path, *ports, changes={"least_conn;": line}) as port:
        token = create_token("ann", SETTINGS)
        clients: list[NodeClient] = []
        # The hash gives each process some of the twelve clients. The numbers depend on the ports.
        while len(clients) < 12 or not all(metrics.sum("engineio_sessions_opened_total") for metrics in processes):
            query = {"client": f"client-{len(clients)}"}
            clients.append(await node.connect(f"http://127.0.0.1:{port}", auth={"token": token}, query=query))
        for client in clients:
            await client.upgraded()
        assert sum(metrics.sum("relayed_requests_total") for metrics in processes) == 0
        for client in clients:
            await client.disconnect()
