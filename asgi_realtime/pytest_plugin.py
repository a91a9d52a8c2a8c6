"""The pytest plugin: fixtures for an app, its clients, its broadcasts and the time. See docs/guides/testing.md.

pytest imports this module in every run, also of tests that use nothing of it. So it imports the rest of the package
when a fixture is used.
"""

from __future__ import annotations

import importlib
import types
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import pytest

if TYPE_CHECKING:
    from starlette.types import ASGIApp

    from asgi_realtime.testing import BroadcastRecorder, Clock, Connect, RealtimeTestClient

_LoopScope = Literal["function", "class", "module", "package", "session"]
_ANYIO = "_realtime_on_anyio"
_ASYNCIO = {scope: f"_realtime_on_asyncio_{scope}" for scope in get_args(_LoopScope)}
"""The fixtures that run the app, by what runs the test: anyio's plugin, or pytest-asyncio on a loop of this scope."""

_NO_APP = """\
the fixture `realtime_app` is the app under test, and is not defined; write into conftest.py:

    @pytest.fixture
    def realtime_app():
        return app  # of FastAPI, Starlette, ..., with its RealtimeMiddleware"""
_NOT_ASYNC = (
    "the fixtures realtime_client, realtime_connect and realtime_broadcasts need an `async def` test that anyio's "
    "plugin or pytest-asyncio runs: mark it with pytest.mark.anyio or pytest.mark.asyncio, or set anyio_mode or "
    "asyncio_mode to auto"
)
_TRIO = (
    "asgi_realtime runs on asyncio, and this test on trio; write into conftest.py:\n\n"
    "    @pytest.fixture\n    def anyio_backend():\n        return 'asyncio'"
)


class _Running(NamedTuple):
    """An app that runs for one test."""

    client: RealtimeTestClient
    connect: Connect


# The fixtures of tests


@pytest.fixture
def realtime_app() -> ASGIApp:
    """The app under test. Define this fixture in your conftest.py."""
    pytest.fail(_NO_APP, pytrace=False)


@pytest.fixture
def realtime_client(request: pytest.FixtureRequest, realtime_app: Any) -> Iterator[RealtimeTestClient]:
    """A client of `realtime_app`, which runs on the event loop of the test, without Redis.

    What the test changes in the app's `dependency_overrides` is undone after it.
    """
    from asgi_realtime.testing.app import host_of

    running: _Running = request.getfixturevalue(_runner_of(request))
    host = host_of(realtime_app)
    overrides: object = getattr(host, "dependency_overrides", None)
    if not isinstance(overrides, dict):
        yield running.client
        return
    before = dict(overrides)
    yield running.client
    overrides.clear()
    overrides.update(before)
    host.dependency_overrides = overrides


@pytest.fixture
def realtime_connect(request: pytest.FixtureRequest, realtime_client: RealtimeTestClient) -> Connect:
    """A function that connects a client until the end of the test.

    `ada = await realtime_connect("ada")` signs a token for the user `ada`.
    """
    running: _Running = request.getfixturevalue(_runner_of(request))
    return running.connect


@pytest.fixture
def realtime_broadcasts(realtime_client: RealtimeTestClient) -> BroadcastRecorder:
    """Every broadcast of the app since its start, also those that no client receives."""
    return realtime_client.record()


@pytest.fixture
def realtime_clock() -> Clock:
    """Time that stands still while the app runs: `await realtime_clock.advance(seconds)`."""
    from asgi_realtime.testing import Clock

    return Clock()


# How the app runs


@pytest.fixture
def _realtime_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """An app that reads its settings from the environment when it starts uses no Redis."""
    monkeypatch.delenv("MEW_REDIS_URL", raising=False)


@pytest.fixture
def _realtime_clock_if_used(request: pytest.FixtureRequest) -> Clock | None:
    clock: Clock | None = None
    if "realtime_clock" in request.fixturenames:
        clock = request.getfixturevalue("realtime_clock")
    return clock


@asynccontextmanager
async def _run(app: ASGIApp, clock: Clock | None) -> AsyncIterator[_Running]:
    from asgi_realtime.testing import Connect, RealtimeTestClient

    async with RealtimeTestClient(app, clock=clock, without_redis=True) as client, Connect(client) as connect:
        yield _Running(client, connect)


@pytest.fixture(name=_ANYIO)
async def _on_anyio(
    _realtime_memory: None, realtime_app: ASGIApp, _realtime_clock_if_used: Clock | None
) -> AsyncIterator[_Running]:
    async with _run(realtime_app, _realtime_clock_if_used) as running:
        yield running


def _on_asyncio(scope: _LoopScope, fixture: Callable[..., Any]) -> Any:
    """The same for pytest-asyncio. Each scope needs a function, because its fixtures have one scope of loops."""

    async def run(
        _realtime_memory: None, realtime_app: ASGIApp, _realtime_clock_if_used: Clock | None
    ) -> AsyncIterator[_Running]:
        async with _run(realtime_app, _realtime_clock_if_used) as running:
            yield running

    return fixture(name=_ASYNCIO[scope], loop_scope=scope)(run)


def pytest_configure(config: pytest.Config) -> None:
    """Add the fixtures for pytest-asyncio, if it is used."""
    if not config.pluginmanager.has_plugin("asyncio"):
        return
    pytest_asyncio = importlib.import_module("pytest_asyncio")
    fixtures = types.ModuleType(f"{__name__}.pytest_asyncio")
    for scope in get_args(_LoopScope):
        setattr(fixtures, _ASYNCIO[scope], _on_asyncio(scope, pytest_asyncio.fixture))
    config.pluginmanager.register(fixtures, fixtures.__name__)


def _runner_of(request: pytest.FixtureRequest) -> str:
    """The fixture that runs the app where the test runs."""
    if request.config.pluginmanager.has_plugin("asyncio"):
        pytest_asyncio = importlib.import_module("pytest_asyncio")
        if pytest_asyncio.is_async_test(request.node):
            marker = request.node.get_closest_marker("asyncio")
            scope = None if marker is None else marker.kwargs.get("loop_scope") or marker.kwargs.get("scope")
            return _ASYNCIO[scope or request.config.getini("asyncio_default_test_loop_scope")]
    if "anyio_backend" not in request.fixturenames:
        pytest.fail(_NOT_ASYNC, pytrace=False)
    backend = request.getfixturevalue("anyio_backend")
    if (backend if isinstance(backend, str) else backend[0]) != "asyncio":
        pytest.fail(_TRIO, pytrace=False)
    return _ANYIO
