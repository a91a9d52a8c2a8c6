"""Behind a real nginx with the configurations of docs/running.md and docs/scaling.md."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import os
import re
import secrets
import shutil
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import websockets
from starlette.applications import Starlette
from websockets.asyncio.client import connect
from websockets.typing import Origin

from asgi_realtime import RealtimeMiddleware, Settings, SocketIOGateway, WebSocketGateway, create_token
from tests.support.node_client import Node, NodeClient
from tests.support.paths import ROOT
from tests.support.recorded_metrics import RecordedMetrics
from tests.support.redis_server import RedisProcess
from tests.support.servers import IMPLEMENTATIONS, Implementation, LiveServer, Serve

RUNNING = ROOT / "docs" / "running.md"
SCALING = ROOT / "docs" / "scaling.md"
SETTINGS = Settings(jwt_secret="a secret for tests that is long enough")
CONFIGURATION = """
daemon off; master_process off; error_log stderr warn; pid nginx.pid; {user}
events {{ worker_connections 64; }}
http {{
    access_log off;
    client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi; scgi_temp_path scgi;
    {server}
}}
"""


def documented_blocks(page: Path = RUNNING) -> list[str]:
    """A page's configuration. Running: processes of an app, the location, and the server that limits connections."""
    return re.findall(r"```nginx\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def documented() -> tuple[str, str]:
    """The location, and the server that limits connections."""
    _, location, counting = documented_blocks()
    return location, counting


def documented_location() -> str:
    return documented()[0]


@contextlib.asynccontextmanager
async def nginx(folder: Path, server: LiveServer, lines: str) -> AsyncIterator[int]:
    """The port of an nginx in front of a server, configured by a location or by a whole server block."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    assert program is not None, "scripts/system-packages installs nginx"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    (folder / "nginx.conf").write_text(
        CONFIGURATION.format(
            user="user root;" if os.getuid() == 0 else "",
            server=(
                lines.replace("server {", f"server {{ listen 127.0.0.1:{port};")
                if "server {" in lines
                else f"server {{ listen 127.0.0.1:{port}; {lines} }}"
            ).replace("http://app:8000", "http://app" if "upstream app" in lines else server.url),
        )
    )
    process = await asyncio.create_subprocess_exec(
        *(program, "-p", str(folder), "-c", str(folder / "nginx.conf")), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(10):
            while True:
                assert process.returncode is None, "nginx refuses the configuration"
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                await asyncio.sleep(0.02)
        yield port
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


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
    async with nginx(tmp_path, server, documented_location()) as port:
        assert await statuses(port, f"http://127.0.0.1:{port}") == [200, 101, 101]
        for foreign in (f"http://127.0.0.1:{server.port}", "http://127.0.0.1", f"http://localhost:{port}"):
            assert await statuses(port, foreign) == [403, 403, 403]


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_the_stock_client_connects(serve: Serve, node: Node, transports: list[str], tmp_path: Path) -> None:
    server = await serve(app())
    async with nginx(tmp_path, server, documented_location()) as port:
        url = f"http://127.0.0.1:{port}"
        token = create_token("ann", SETTINGS)
        await node.connect(url, auth={"token": token}, transports=transports, headers={"Origin": url})


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_behind_a_proxy_that_replaces_the_host_header_the_origin_needs_trust(
    serve: Serve, implementation: Implementation, tmp_path: Path
) -> None:
    location = documented_location().replace(
        "proxy_set_header Host $http_host;",
        "proxy_set_header Host internal.example; proxy_set_header X-Forwarded-Host $host;"
        "proxy_set_header X-Forwarded-Port $server_port;",
    )
    for trusted, expected in ((("127.0.0.1",), [200, 101, 101]), ((), [403, 403, 403])):
        settings = Settings(jwt_secret=SETTINGS.jwt_secret, trusted_proxies=trusted)
        server = await serve(app(settings), implementation)
        folder = tmp_path / json.dumps(len(trusted))
        folder.mkdir()
        async with nginx(folder, server, location) as port:
            assert await statuses(port, f"http://127.0.0.1:{port}") == expected
            assert await statuses(port, "http://internal.example") == ([403] * 3 if trusted else [200, 101, 101])


async def test_a_trusted_proxy_serves_the_same_origin(serve: Serve, tmp_path: Path) -> None:
    location, counting = documented()
    inner = location.partition("{")[2].rpartition("}")[0]
    remark = '# also the lines of "Behind a proxy"'
    assert remark in counting
    server = await serve(app())
    async with nginx(tmp_path, server, counting.replace(remark, inner)) as port:
        origin = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(timeout=10, headers={"Origin": origin}) as http:
            assert (await http.get(f"{origin}/socket.io/?EIO=4&transport=polling")).status_code == 200
        assert await status_of(port, "/socket.io/?EIO=4&transport=websocket", origin) == 101


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
    [lines] = documented_blocks(SCALING)
    for number, server in enumerate(servers, 1):
        lines = lines.replace(f"10.0.0.1{number}:8000", f"127.0.0.1:{server.port}")
    async with nginx(tmp_path, servers[0], lines.replace("listen 8080;", "")) as port:
        token = create_token("ann", SETTINGS)
        clients = [await node.connect(f"http://127.0.0.1:{port}", auth={"token": token}) for _ in range(6)]
        for client in clients:
            await client.upgraded()
        assert all(metrics.sum("engineio_sessions_opened_total") for metrics in processes)
        for client in clients:
            await client.disconnect()


@pytest.mark.parametrize("hashed", [True, False])
async def test_a_hash_on_the_client_avoids_relays(
    serve: Serve, node: Node, redis_process: RedisProcess, tmp_path: Path, hashed: bool
) -> None:
    servers, processes = await joined_servers(serve, redis_process)
    upstream = documented_blocks()[0]
    for number, server in enumerate(servers, 1):
        upstream = upstream.replace(f"app{number}:8000", f"127.0.0.1:{server.port}")
    if not hashed:
        upstream = upstream.replace("hash $arg_client consistent;", "")
    async with nginx(tmp_path, servers[0], f"{upstream} server {{ {documented_location()} }}") as port:
        token = create_token("ann", SETTINGS)
        clients: list[NodeClient] = []
        # The hash gives each process some of the twelve clients. The numbers depend on the ports.
        while len(clients) < 12 or (
            hashed and not all(metrics.sum("engineio_sessions_opened_total") for metrics in processes)
        ):
            query = {"client": f"client-{len(clients)}"}
            clients.append(await node.connect(f"http://127.0.0.1:{port}", auth={"token": token}, query=query))
        for client in clients:
            await client.upgraded()
        relayed = sum(metrics.sum("relayed_requests_total") for metrics in processes)
        assert relayed == 0 if hashed else relayed > 0
        for client in clients:
            await client.disconnect()
