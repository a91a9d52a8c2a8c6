"""`/healthz` and `/readyz`, on real servers, with a Redis that ends and comes back.

That a stopping process is not ready is in tests/faults/test_stopping.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator

import httpx
import pytest
import websockets
from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from asgi_realtime import ConfigurationError, HealthApp, Realtime, RealtimeMiddleware, Settings
from asgi_realtime.values.readiness import Unready
from tests.support.redis_server import RedisProcess, redis_server
from tests.support.servers import Implementation, Serve
from tests.support.waiting import until

SECRET = "a secret for tests that is long enough"
SETTINGS = Settings(jwt_secret=SECRET)
HEALTH = HealthApp()
ROUTES = [Route("/healthz", HEALTH), Route("/readyz", HEALTH)]
OK = (200, {"status": "ok"})
NO_REDIS = (503, {"status": "unavailable", "reasons": ["Redis does not answer"]})


def of_fastapi() -> ASGIApp:
    app = FastAPI()
    app.router.routes += ROUTES
    app.add_middleware(RealtimeMiddleware, settings=SETTINGS)
    return app


HOSTS: dict[str, tuple[str, Callable[[], ASGIApp]]] = {
    "FastAPI": ("", of_fastapi),
    "Starlette": ("", lambda: RealtimeMiddleware(Starlette(routes=ROUTES), settings=SETTINGS)),
    "mounted": ("/probes", lambda: RealtimeMiddleware(Starlette(routes=[Mount("/probes", HEALTH)]), settings=SETTINGS)),
    "the whole app": ("", lambda: RealtimeMiddleware(HEALTH, settings=SETTINGS)),
}


@pytest.mark.parametrize("implementation", ["uvicorn", "hypercorn"])
@pytest.mark.parametrize("host", HOSTS)
async def test_get_and_head_are_answered(serve: Serve, host: str, implementation: Implementation) -> None:
    prefix, make = HOSTS[host]
    server = await serve(make(), implementation)
    async with httpx.AsyncClient(base_url=server.url + prefix) as http:
        for path in ("/healthz", "/readyz"):
            answer = await http.get(path)
            assert (answer.status_code, answer.json()) == OK
            assert answer.headers["cache-control"] == "no-store"
            assert answer.headers["content-type"] == "application/json"
            head = await http.head(path)
            assert (head.status_code, head.content) == (200, b"")
            assert head.headers["content-length"] == str(len(answer.content))


async def test_other_methods_paths_and_websockets_are_refused(serve: Serve) -> None:
    server = await serve(RealtimeMiddleware(HEALTH, settings=SETTINGS))
    async with httpx.AsyncClient(base_url=server.url) as http:
        posted = await http.post("/readyz")
        assert (posted.status_code, posted.headers["allow"]) == (405, "GET, HEAD")
        for path in ("/", "/health", "/readyz/more"):
            assert (await http.get(path)).status_code == 404
    with pytest.raises(websockets.InvalidStatus):
        await websockets.connect(server.websocket_url + "/readyz")


async def test_readiness_without_the_middleware_is_a_mistake() -> None:
    transport = httpx.ASGITransport(Starlette(routes=ROUTES))
    async with httpx.AsyncClient(transport=transport, base_url="http://app") as http:
        assert (await http.get("/healthz")).status_code == 200
        with pytest.raises(ConfigurationError, match="did not come through RealtimeMiddleware"):
            await http.get("/readyz")


async def test_it_is_unready_before_the_start_and_from_the_stop_on() -> None:
    realtime = Realtime(settings=SETTINGS)
    assert (realtime.unready, realtime.ready) == (Unready.STARTING, False)
    async with realtime:
        assert (realtime.unready, realtime.ready) == (None, True)
    assert (realtime.unready, realtime.ready) == (Unready.STOPPING, False)
    async with realtime:
        assert realtime.ready


@pytest.fixture
def redis() -> Iterator[RedisProcess]:
    """A Redis of the test, which ends it."""
    with redis_server() as server:
        yield server


async def test_a_process_is_ready_while_redis_answers(serve: Serve, redis: RedisProcess) -> None:
    settings = Settings(jwt_secret=SECRET, redis_url=redis.url, redis_prefix=f"test-{secrets.token_hex(4)}")
    without = HealthApp(redis=False)
    app = Starlette(routes=[*ROUTES, Mount("/without", without)])
    inner = RealtimeMiddleware(app, settings=settings)
    other_path = Settings(jwt_secret=SECRET, redis_url=redis.url, socketio_path="/other", redis_prefix="other")
    server = await serve(RealtimeMiddleware(inner, settings=other_path))
    async with httpx.AsyncClient(base_url=server.url) as http:

        async def probed(path: str) -> tuple[int, object]:
            answer = await http.get(path)
            return answer.status_code, answer.json()

        async def becomes(expected: tuple[int, object]) -> bool:
            return await probed("/readyz") == expected

        await until(lambda: becomes(OK))
        redis.kill()
        await until(lambda: becomes(NO_REDIS))  # once, although two middlewares say so
        assert await probed("/healthz") == OK
        assert await probed("/without/readyz") == OK
        assert (await http.head("/readyz")).status_code == 503
        redis.start()
        await until(lambda: becomes(OK))
