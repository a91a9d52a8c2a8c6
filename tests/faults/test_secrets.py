"""Tokens and secrets stay out of every line that a server of ours prints, and out of the query altogether for Infra."""

from __future__ import annotations

import contextlib
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Origin

from asgi_realtime import InfraGateway, Settings
from asgi_realtime.auth import create_token
from tests.faults.process import Process, target_process
from tests.faults.target import Target
from tests.servers import IMPLEMENTATIONS, Implementation, Serve
from tests.wire.raw import raw_client, receive_json

SETTINGS = Settings(jwt_secret="a shared secret that nobody may ever read", admin_secret="admin-secret-nobody-may-read")
ADMIN_SECRET = str(SETTINGS.admin_secret)
TOKEN = create_token("user", SETTINGS)
SECRETS = (str(SETTINGS.jwt_secret), ADMIN_SECRET, TOKEN, TOKEN.rpartition(".")[2], "a+token%20of", "another-opaque")
ENVIRON = {"MEW_JWT_SECRET": str(SETTINGS.jwt_secret), "MEW_ADMIN_SECRET": ADMIN_SECRET}


async def use_secrets_everywhere(process: Process) -> None:
    """Put a secret wherever a client can put one, in requests that succeed and in requests that fail."""
    http_url, websocket_url = process.server.url, process.server.websocket_url
    polling = f"EIO=4&transport=polling&token={TOKEN}&adminSecret={ADMIN_SECRET}"
    websocket = polling.replace("polling", "websocket")
    headers = {"Authorization": f"Bearer {TOKEN}", "X-Mew-Admin-Secret": ADMIN_SECRET}
    cookies = {"mew_access_token": TOKEN}
    async with httpx.AsyncClient(headers=headers, cookies=cookies, timeout=10) as http:
        opening = await http.get(f"{http_url}/socket.io/?{polling}")
        assert opening.status_code == 200
        sid = opening.text.partition('"sid":"')[2].partition('"')[0]
        for query in (f"{polling}&sid={sid}", polling.replace("EIO=4", "EIO=3"), TOKEN, f"{polling}&sid={TOKEN}"):
            await http.post(f"{http_url}/socket.io/?{query}", content=f'40{{"token":"{TOKEN}"}}')
            with contextlib.suppress(httpx.ReadTimeout):
                await http.get(f"{http_url}/socket.io/?{query}", timeout=0.3)
        await http.get(f"{http_url}/socket.io/?{polling}&sid={sid}", headers={"Origin": "https://evil.example"})
        await http.options(f"{http_url}/socket.io/?{polling}", headers={"Origin": "https://evil.example"})
    for path in (
        f"/socket.io/?{websocket}",
        f"/socket.io/?{websocket}&sid={sid}",
        f"/socket.io/?{websocket}&sid=another-opaque",
        f"/socket.io/?another-opaque&{websocket}",
        f"/socket.io/?{websocket}&token=a+token%20of%20odd%2Bcharacters",
        f"/chat?token={TOKEN}",
        f"/chat?token={TOKEN}x",
        "/chat?token=another-opaque",
        f"/chat?{TOKEN}",
    ):
        for origin in (None, Origin("https://evil.example")):
            with contextlib.suppress(InvalidStatus, ConnectionClosed):
                async with connect(websocket_url + path, additional_headers=headers, origin=origin) as socket:
                    await socket.send(f'40/infra,{{"adminSecret":"{ADMIN_SECRET}","serviceType":"bot"}}')
                    await socket.send(f'{{"type":"auth","data":{{"token":"{TOKEN}"}}}}')
                    await socket.send(f'42["echo","{TOKEN}"')


@pytest.mark.parametrize("implementation", ["websockets-sansio", "wsproto"])
@pytest.mark.parametrize("level", ["info", "trace"])
async def test_no_line_of_a_server_shows_a_secret(tmp_path: Path, implementation: str, level: str) -> None:
    async with target_process(tmp_path, "--ws", implementation, "--log-level", level, environ=ENVIRON) as process:
        await use_secrets_everywhere(process)
    lines = process.output.splitlines()
    assert any("GET /socket.io/?EIO=4&transport=polling&token=redacted" in line for line in lines)
    assert any("WebSocket /chat?token=redacted" in line for line in lines)
    assert any(line.startswith("ours: DEBUG") for line in lines)
    shown = [line for line in lines if any(secret in line for secret in SECRETS)]
    # Uvicorn's own dump of the wire, written before any app is called, and off by default, is not ours to clean.
    assert [line for line in shown if not line.startswith(("TRACE: ", "DEBUG: "))] == []


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("name", ["adminSecret", "x-mew-admin-secret", "X-Mew-Admin-Secret", "secret", "token", "q"])
async def test_infra_refuses_a_secret_in_the_query_even_when_it_is_right(
    serve: Serve, implementation: Implementation, name: str
) -> None:
    target = Target(InfraGateway(), settings=SETTINGS)
    server = await serve(target.app, implementation)
    url = f"{server.websocket_url}/socket.io/?EIO=4&transport=websocket&serviceType=bot"
    good = f'40/infra,{{"adminSecret":"{ADMIN_SECRET}"}}'
    async with connect(url) as socket:
        await socket.recv()
        await socket.send(good)
        assert str(await socket.recv()).startswith("40/infra,")
    async with connect(f"{url}&{name}={ADMIN_SECRET}", additional_headers={name: ADMIN_SECRET}) as socket:
        await socket.recv()
        await socket.send(good)
        assert await socket.recv() == '44/infra,{"message":"invalid credentials","data":{"code":"UNAUTHORIZED"}}'
    await target.emptied()


async def test_a_user_token_opens_nothing_on_infra(serve: Serve) -> None:
    target = Target(InfraGateway(), settings=SETTINGS)
    server = await serve(target.app)
    async with raw_client(server, "websocket", headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        await client.send(f'0/infra,{{"token":"{TOKEN}","serviceType":"bot"}}')
        assert (await receive_json(client, "4/infra,"))["data"] == {"code": "UNAUTHORIZED"}
