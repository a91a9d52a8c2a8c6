"""The middleware in front of a host, on real servers: the routes of the host work unchanged."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Annotated, Any

import httpx
import pytest
import websockets
from fastapi import Depends, FastAPI, WebSocket
from fastapi.middleware.cors import CORSMiddleware
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from asgi_realtime import (
    Broadcaster,
    ConfigurationError,
    RealtimeMiddleware,
    Settings,
    SocketIOGateway,
    WebSocketGateway,
    get_broadcaster,
)
from tests.support.servers import IMPLEMENTATIONS, Implementation, Serve

SETTINGS_ORIGIN, HOST_ORIGIN, FOREIGN = "https://settings.example", "https://host.example", "https://foreign.example"
SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", cors_origins=(SETTINGS_ORIGIN,))
SAME_ORIGIN = Settings(jwt_secret="a secret for tests that is long enough")
OPEN = "/socket.io/?EIO=4&transport=polling"


def headers(response: httpx.Response, name: str) -> list[str]:
    return response.headers.get_list(name)


def assert_never_twice(response: httpx.Response) -> None:
    names = [name for name, _ in response.headers.raw if name.lower().startswith(b"access-control-")]
    assert len(names) == len(set(names)), response.headers.raw


def make_fastapi() -> FastAPI:
    """A FastAPI host with a lifespan, routes, errors and streams."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        yield {"pool": "open"}

    app = FastAPI(lifespan=lifespan)

    @app.get("/hello")
    async def hello(request: Request) -> dict[str, str]:
        return {"pool": request.state.pool}

    @app.get("/gone")
    async def gone() -> None:
        raise HTTPException(410, "gone")

    @app.get("/broken")
    async def broken() -> None:
        raise LookupError("a bug of the host")

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        async def context() -> AsyncIterator[bytes]:
            for number in range(5):
                yield b"%d" % number
                await asyncio.sleep(0)

        return StreamingResponse(context(), headers={"vary": "Accept"})

    @app.post("/size")
    async def size(request: Request) -> int:
        return len(await request.body())

    @app.post("/broadcast")
    async def broadcast(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> int:
        return (await broadcaster.broadcast_to_all("x")).delivered_locally

    @app.post("/broadcast/sync")
    def broadcast_from_a_thread(broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> int:
        return broadcaster.sync.broadcast_to_all("x").delivered_locally

    @app.websocket("/own")
    async def own(websocket: WebSocket, broadcaster: Annotated[Broadcaster, Depends(get_broadcaster)]) -> None:
        await websocket.accept()
        await websocket.send_text(f"{websocket.state.pool} {isinstance(broadcaster, Broadcaster)}")
        await websocket.close(4000)

    return app


def add(app: FastAPI, **options: Any) -> ASGIApp:
    app.add_middleware(RealtimeMiddleware, **{"settings": SETTINGS, **options})
    return app


def wrap(app: FastAPI, **options: Any) -> ASGIApp:
    return RealtimeMiddleware(app, **{"settings": SETTINGS, **options})


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
@pytest.mark.parametrize("mount", [add, wrap])
async def test_the_hosts_routes_are_unchanged(mount: Any, implementation: Implementation, serve: Serve) -> None:
    plain, server = await serve(make_fastapi(), implementation), await serve(mount(make_fastapi()), implementation)
    async with httpx.AsyncClient() as http:
        for path in ("/hello", "/gone", "/broken", "/stream", "/none", "/socket.ioo", "/socket", "/own", "/docs"):
            before, after = await http.get(plain.url + path), await http.get(server.url + path)
            assert (before.status_code, before.text) == (after.status_code, after.text), path
            assert before.headers.keys() == after.headers.keys(), path
        assert (await http.get(server.url + "/hello")).json() == {"pool": "open"}
        assert (await http.post(server.url + "/size", content=b"x" * 3_000_000)).json() == 3_000_000
        for path in ("/broadcast", "/broadcast/sync"):
            assert (await http.post(server.url + path)).json() == 0
        assert (await http.get(server.url + OPEN)).status_code == 200
        assert (await http.get(server.url + "/socket.io")).status_code == 400
    async with websockets.connect(server.websocket_url + "/own") as websocket:
        assert await websocket.recv() == "open True"
        with pytest.raises(websockets.ConnectionClosed):
            await websocket.recv()
        assert websocket.close_code == 4000
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(server.websocket_url + "/nothing")
    assert refused.value.response.status_code == 403


async def test_starlette_apps_and_bare_callables_can_be_hosts(serve: Serve) -> None:
    async def home(request: Request) -> Response:
        broadcaster = await get_broadcaster(request)
        return JSONResponse((await broadcaster.broadcast_to_all("x")).delivered_locally)

    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        await PlainTextResponse(scope["path"])(scope, receive, send)

    starlette = Starlette(routes=[Route("/", home)])
    starlette.add_middleware(RealtimeMiddleware, settings=SETTINGS)
    async with httpx.AsyncClient() as http:
        server = await serve(starlette)
        assert (await http.get(server.url)).json() == 0
        server = await serve(RealtimeMiddleware(bare, settings=SETTINGS))
        assert (await http.get(server.url + "/path")).text == "/path"
        assert (await http.get(server.url + OPEN)).text.startswith("0{")


async def open_database() -> None:
    raise LookupError("no database")


async def test_a_host_whose_start_up_fails_prevents_the_start_of_the_server(serve: Serve) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        await open_database()
        yield

    for mount in (add, wrap):
        with pytest.raises(RuntimeError, match="did not start"):
            await serve(mount(FastAPI(lifespan=lifespan)))


# CORS


async def test_without_a_policy_no_header_is_added(serve: Serve) -> None:
    server = await serve(wrap(make_fastapi(), settings=SAME_ORIGIN))
    async with httpx.AsyncClient() as http:
        for origin in (SETTINGS_ORIGIN, server.url):
            response = await http.get(server.url + "/hello", headers={"origin": origin})
            assert response.status_code == 200
            assert not [name for name in response.headers if name.startswith(("access-control", "vary"))]
        assert (await http.get(server.url + OPEN, headers={"origin": SETTINGS_ORIGIN})).status_code == 403
        assert (await http.get(server.url + OPEN, headers={"origin": server.url})).status_code == 200


@pytest.mark.parametrize("mount", [add, wrap])
async def test_the_shared_policy_on_the_hosts_responses(mount: Any, serve: Serve) -> None:
    server = await serve(mount(make_fastapi()))
    async with httpx.AsyncClient() as http:
        for path, status in (("/hello", 200), ("/gone", 410), ("/none", 404), ("/stream", 200), (OPEN, 200)):
            response = await http.get(server.url + path, headers={"origin": SETTINGS_ORIGIN})
            assert response.status_code == status
            assert headers(response, "access-control-allow-origin") == [SETTINGS_ORIGIN]
            assert headers(response, "access-control-allow-credentials") == ["true"]
            assert "Origin" in ", ".join(headers(response, "vary"))
            assert_never_twice(response)
            response = await http.get(server.url + path, headers={"origin": FOREIGN})
            assert not headers(response, "access-control-allow-origin")
        streamed = await http.get(server.url + "/stream", headers={"origin": SETTINGS_ORIGIN})
        assert (streamed.text, headers(streamed, "vary")) == ("01234", ["Accept, Origin"])
        assert not headers(await http.get(server.url + "/hello"), "access-control-allow-origin")


async def test_preflights_of_allowed_origins_are_answered_once(serve: Serve) -> None:
    server = await serve(wrap(make_fastapi()))
    asked = {
        "access-control-request-method": "DELETE",
        "access-control-request-headers": "content-type, x-mine",
    }
    async with httpx.AsyncClient() as http:
        for path in ("/hello", "/none", OPEN):
            response = await http.options(server.url + path, headers={"origin": SETTINGS_ORIGIN, **asked})
            assert response.status_code == 200, path
            assert headers(response, "access-control-allow-origin") == [SETTINGS_ORIGIN]
            assert "x-mine" in headers(response, "access-control-allow-headers")[0].lower()
            assert_never_twice(response)
            response = await http.options(server.url + path, headers={"origin": FOREIGN, **asked})
            assert not headers(response, "access-control-allow-origin")
        response = await http.options(server.url + "/hello", headers={"origin": SETTINGS_ORIGIN})
        assert response.status_code == 405, "an OPTIONS that is not a preflight reaches the host"


@pytest.mark.parametrize("inside", [True, False])
@pytest.mark.parametrize("credentials", [True, False])
@pytest.mark.parametrize("origins", [[HOST_ORIGIN], [SETTINGS_ORIGIN, HOST_ORIGIN], ["*"]])
async def test_a_host_with_its_own_cors(inside: bool, credentials: bool, origins: list[str], serve: Serve) -> None:
    def cors(app: FastAPI) -> None:
        app.add_middleware(
            CORSMiddleware, allow_origins=origins, allow_credentials=credentials, expose_headers=["x-mine"]
        )

    app = make_fastapi()
    if inside:
        cors(app)
    app.add_middleware(RealtimeMiddleware, settings=SETTINGS)
    if not inside:
        cors(app)
    server = await serve(app)
    async with httpx.AsyncClient() as http:
        for origin in (SETTINGS_ORIGIN, HOST_ORIGIN, FOREIGN):
            for path in ("/hello", "/none", OPEN):
                response = await http.get(server.url + path, headers={"origin": origin, "cookie": "a=b"})
                assert_never_twice(response)
                allowed = origin == SETTINGS_ORIGIN or (
                    (path != OPEN or not inside) and (origin in origins or "*" in origins)
                )
                assert bool(headers(response, "access-control-allow-origin")) == allowed, (origin, path)
                response = await http.options(
                    server.url + path, headers={"origin": origin, "access-control-request-method": "PUT"}
                )
                assert_never_twice(response)


def test_cors_origins_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEW_JWT_SECRET", "a secret for tests that is long enough")
    monkeypatch.setenv("MEW_CORS_ORIGINS", f"{SETTINGS_ORIGIN}, {HOST_ORIGIN}")
    middleware = RealtimeMiddleware(make_fastapi())
    assert middleware.realtime.settings.cors_origins == (SETTINGS_ORIGIN, HOST_ORIGIN)
    assert middleware.realtime.origins.allows(HOST_ORIGIN, host="api.example")
    assert not middleware.realtime.origins.allows(FOREIGN, host="api.example")
    monkeypatch.delenv("MEW_CORS_ORIGINS")
    assert not RealtimeMiddleware(make_fastapi()).realtime.origins.cross_origin


# Prefixes


async def accept_all(handshake: Any) -> Any:
    raise AssertionError("not reached")


@pytest.mark.parametrize("implementation", IMPLEMENTATIONS)
async def test_the_app_is_served_below_a_prefix_of_the_server(implementation: Implementation, serve: Serve) -> None:
    gateways = [SocketIOGateway("/"), WebSocketGateway("/chat")]
    server = await serve(wrap(make_fastapi(), gateways=gateways), implementation, root_path="/api")
    # uvicorn adds the prefix to every path, because a proxy has removed it. Hypercorn does not change paths.
    prefix = "/api" if implementation == "hypercorn" else ""
    async with httpx.AsyncClient() as http:
        assert (await http.get(server.url + prefix + OPEN)).text.startswith("0{")
        assert (await http.get(server.url + prefix + "/hello")).json() == {"pool": "open"}
    async with websockets.connect(server.websocket_url + prefix + "/chat") as websocket:
        await websocket.send('{"type":"ping"}')
        assert await websocket.recv() == '{"type":"pong"}'


async def test_the_middleware_works_below_a_mount(serve: Serve) -> None:
    inner = RealtimeMiddleware(
        make_fastapi(), settings=SETTINGS, gateways=[SocketIOGateway("/"), WebSocketGateway("/chat")]
    )

    @contextlib.asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with inner.realtime:
            yield

    server = await serve(Starlette(routes=[Mount("/below", inner)], lifespan=lifespan))
    async with httpx.AsyncClient() as http:
        assert (await http.get(server.url + "/below" + OPEN)).text.startswith("0{")
        assert (await http.get(server.url + OPEN)).status_code == 404
        assert (await http.post(server.url + "/below/broadcast")).json() == 0
    async with websockets.connect(server.websocket_url + "/below/chat") as websocket:
        await websocket.send('{"type":"ping"}')
        assert await websocket.recv() == '{"type":"pong"}'


# Configuration


def test_gateways_that_conflict_are_refused() -> None:
    for gateways in (
        [SocketIOGateway("/"), SocketIOGateway("/")],
        [WebSocketGateway("/a"), WebSocketGateway("/a")],
    ):
        with pytest.raises(ConfigurationError, match="twice"):
            RealtimeMiddleware(make_fastapi(), gateways=gateways, settings=SETTINGS).realtime  # noqa: B018
    for path in ("chat", "/"):
        with pytest.raises(ConfigurationError):
            WebSocketGateway(path)
    for namespace in ("chat", "/a,b", "/a?b", "/a\nb"):
        with pytest.raises(ConfigurationError):
            SocketIOGateway(namespace)


HOST = """
import sys
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from asgi_realtime import RealtimeMiddleware

async def home(request):
    return PlainTextResponse("home")

app = Starlette(routes=[Route("/", home)])
app.add_middleware(RealtimeMiddleware)
wrapped = RealtimeMiddleware(Starlette(routes=[Route("/", home)]))

async def bare(scope, receive, send):
    await PlainTextResponse("bare")(scope, receive, send)

bare = RealtimeMiddleware(bare)
"""


def run_uvicorn(folder: Path, app: str, **environment: str) -> subprocess.Popen[str]:
    (folder / "host.py").write_text(HOST)
    own = {name: value for name, value in os.environ.items() if not name.startswith("MEW_")}
    return subprocess.Popen(
        [sys.executable, "-m", "uvicorn", f"host:{app}", "--port", "0", "--app-dir", str(folder)],
        env=own | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def run_uvicorn_to_its_end(folder: Path, app: str, **environment: str) -> tuple[int, str]:
    with run_uvicorn(folder, app, **environment) as server:
        try:
            output, _ = server.communicate(timeout=20)
        finally:
            server.kill()
    return server.returncode, output


@pytest.mark.parametrize("app", ["app", "wrapped", "bare"])
def test_without_configuration_the_server_does_not_start_and_prints_the_reason(app: str, tmp_path: Path) -> None:
    code, output = run_uvicorn_to_its_end(tmp_path, app)
    assert code == 3
    assert "MEW_JWT_SECRET" in output
    assert "MEW_DEV" in output
    assert "Traceback" not in output


def test_a_wrong_value_is_named_and_not_shown(tmp_path: Path) -> None:
    code, output = run_uvicorn_to_its_end(tmp_path, "app", MEW_DEV="true", MEW_PING_INTERVAL="misplaced secret")
    assert code == 3
    assert "MEW_PING_INTERVAL" in output
    assert "misplaced secret" not in output


def test_a_development_secret_is_made_with_a_warning(tmp_path: Path) -> None:
    server = run_uvicorn(tmp_path, "app", MEW_DEV="true")
    assert server.stdout is not None
    lines: list[str] = []
    for line in server.stdout:
        lines.append(line)
        if found := re.search(r"running on (http://\S+)", line):
            break
    else:
        raise AssertionError("".join(lines))
    try:
        assert "random MEW_JWT_SECRET" in "".join(lines)
        assert httpx.get(found[1]).text == "home"
        assert httpx.get(found[1] + OPEN).status_code == 200
    finally:
        server.terminate()
        output, _ = server.communicate(timeout=20)
    assert "Traceback" not in output
