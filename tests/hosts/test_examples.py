"""The example of each framework, on a real uvicorn with npm's client, and in the process of the test."""

from __future__ import annotations

import importlib
import signal
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from asgi_realtime import Settings, create_token
from asgi_realtime.testing import ConnectionRefused, RealtimeTestClient
from tests.support.node_client import ConnectRefused, Node
from tests.support.paths import ROOT
from tests.support.target_process import target_process

HOSTS = sorted(path.stem for path in ROOT.glob("examples/hosts/*_app.py"))
LISTED, FOREIGN = "https://listed.example", "https://foreign.example"
SECRET = "a secret for tests that is long enough"
MESSAGE = {"text": "hello"}
POLLING = "/socket.io/?EIO=4&transport=polling"


def test_each_framework_of_the_page_has_an_example() -> None:
    names = ["blacksheep", "falcon", "fastapi", "flask", "litestar", "quart", "sanic", "starlette"]
    assert HOSTS == [f"{name}_app" for name in names]


@pytest.mark.parametrize("host", HOSTS)
async def test_on_uvicorn_with_the_client_of_npm(host: str, node: Node, tmp_path: Path) -> None:
    environ = {"MEW_JWT_SECRET": SECRET, "MEW_DEV": "false", "MEW_CORS_ORIGINS": LISTED}
    command = (f"examples.hosts.{host}:app", "--port", "0")
    async with target_process(tmp_path, *command, module="uvicorn", environ=environ) as process:
        url = process.server.url
        token = create_token("ann", Settings(jwt_secret=SECRET))
        ann = await node.connect(url, auth={"token": token})
        assert await ann.call("join", "lobby") == ["welcome, ann"]
        with pytest.raises(ConnectRefused, match="invalid credentials"):
            await node.connect(url, auth={"token": "forged"})
        async with httpx.AsyncClient(base_url=url) as http:
            page = await http.get("/")
            assert page.headers["content-type"].startswith("text/html")
            assert page.text == ROOT.joinpath("examples", "hosts", "index.html").read_text(encoding="utf-8")
            assert "content-disposition" not in page.headers or page.headers["content-disposition"].startswith("inline")
            created = await http.post("/rooms/lobby/messages", json=MESSAGE)
            assert (created.status_code, created.json()) == (201, MESSAGE)
            assert (await ann.expect("message")).data == MESSAGE
            assert (await http.get("/nowhere")).status_code == 404
            await assert_cors(http)
        process.signal(signal.SIGTERM)
        assert await ann.disconnection() == "transport close"
        assert await process.ended() in (0, -signal.SIGTERM)
        assert "Traceback" not in process.output


async def assert_cors(http: httpx.AsyncClient) -> None:
    """One policy for routes and gateways: each header once for the listed origin, none for others."""
    preflight = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}
    for origin, allowed in ((LISTED, [LISTED]), (FOREIGN, [])):
        asked = {"origin": origin}
        for response in (
            await http.post("/rooms/other/messages", json=MESSAGE, headers=asked),
            await http.get(POLLING, headers=asked),
            await http.options("/rooms/other/messages", headers=asked | preflight),
            await http.options(POLLING, headers=asked | preflight),
        ):
            assert response.headers.get_list("access-control-allow-origin") == allowed, response.request
            assert response.status_code < 300 or not allowed, response.request


@pytest.mark.parametrize("host", HOSTS)
async def test_in_the_process_of_the_test(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEW_JWT_SECRET", SECRET)
    app: ASGIApp = importlib.import_module(f"examples.hosts.{host}").app
    for _ in range(1 if host == "sanic_app" else 2):  # Sanic refuses a second start in one process
        async with RealtimeTestClient(app) as client, client.connect(token=client.token("ann")) as ann:
            assert await ann.call("join", "lobby") == "welcome, ann"
            response = await client.http.post("/rooms/lobby/messages", json=MESSAGE)
            assert (response.status_code, response.json()) == (201, MESSAGE)
            assert (await ann.expect("message")).data == MESSAGE
            with pytest.raises(ConnectionRefused):
                async with client.connect(token="forged"):
                    pass
