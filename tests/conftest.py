"""Every test runs on asyncio in debug mode and must leave no task behind."""

from __future__ import annotations

import asyncio.constants
import gc
import inspect
import logging
import os
import traceback
import typing
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest
from hypothesis import settings
from starlette.types import ASGIApp

from tests.support.node_client import Node, node_process
from tests.support.redis_cluster import RedisClusterProcesses, redis_cluster
from tests.support.redis_places import RedisPlaces
from tests.support.redis_sentinel import RedisSentinel, redis_sentinel
from tests.support.redis_server import RedisProcess, redis_server
from tests.support.servers import Implementation, LiveServer, Serve, running
from tests.support.waiting import no_task_left


def pytest_configure(config: pytest.Config) -> None:
    """Leave out what costs every test time and holds nothing."""
    # asyncio's debug messages about slow callbacks: on a busy machine any callback is slow.
    logging.getLogger("asyncio").addFilter(lambda record: not str(record.msg).startswith("Executing "))
    # In debug mode, each callback, future and task records where it was made. One frame shows it for a callback. The C
    # code of futures and tasks knows no depth and calls this function: its default was all frames, which took half of
    # the time of many tests. Two of these four are asyncio's own.
    vars(asyncio.constants)["DEBUG_STACK_DEPTH"] = 1
    traceback.extract_stack.__defaults__ = (None, 4)
    # Each `httpx.AsyncClient` reads the certificate authorities for 20 ms. No HTTP server of a test has TLS.
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ["SSL_CERT_DIR"] = os.devnull
    # Node reads them for 60 ms, if this names a file.
    os.environ.pop("NODE_EXTRA_CA_CERTS", None)
    # On a busy machine any example of Hypothesis may be slow.
    settings.register_profile("suite", deadline=None)
    settings.load_profile("suite")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collect no garbage while modules are imported: almost all that they make stays."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


def pytest_collection_finish() -> None:
    """Spare each garbage collection the modules and the tests: they stay until the end."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """One event loop per test, in debug mode."""
    return "asyncio", {"debug": True}


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Restore the level of the root logger, and remove handlers that a test has added to it.

    Litestar changes both when an app is made. Handlers that a test has removed are not added again, and other loggers
    stay as they are.
    """
    root = logging.getLogger()
    level, handlers = root.level, set(root.handlers)
    yield
    root.setLevel(level)
    for handler in set(root.handlers) - handlers:
        root.removeHandler(handler)


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: Any) -> None:
    """Run every `async def test_…` on asyncio, as `anyio_mode = "auto"` does, which AnyIO before 4.12 lacks."""
    if collector.istestfunction(obj, name):
        inner = obj.hypothesis.inner_test if hasattr(obj, "hypothesis") else obj
        if inspect.iscoroutinefunction(inner):
            pytest.mark.anyio(obj)
            pytest.mark.usefixtures("no_leaked_tasks")(obj)


@pytest.fixture(scope="session")
def redis_process() -> Iterator[RedisProcess]:
    """A Redis that the tests of one process share. Each test uses a prefix of its own."""
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster_processes() -> Iterator[RedisClusterProcesses]:
    """A Redis Cluster that the tests of one process share. They kill none of its servers."""
    with redis_cluster() as cluster:
        yield cluster


@pytest.fixture(scope="session")
def redis_sentinel_service() -> Iterator[RedisSentinel]:
    """A Sentinel and its servers that the tests of one process share. They kill none of them."""
    with redis_sentinel() as sentinel:
        yield sentinel


@pytest.fixture(scope="session")
def redis_places() -> Iterator[RedisPlaces]:
    """Servers at every place, which the tests of one process share: `redis_places("cluster").url`."""
    with RedisPlaces() as places:
        yield places


@pytest.fixture
async def no_leaked_tasks() -> AsyncIterator[None]:
    """Fail a test that leaves a task running. Tasks have one second to end."""
    async with no_task_left():
        yield


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--server",
        choices=typing.get_args(Implementation),
        help="run the tests that need a server, and do not name one, on this one; and no others",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--server") is not None:
        kept = [item for item in items if isinstance(item, pytest.Function) and _leaves_the_server_open(item)]
        config.hook.pytest_deselected(items=[item for item in items if item not in kept])
        items[:] = kept


def _leaves_the_server_open(item: pytest.Function) -> bool:
    named = hasattr(item, "callspec") and "implementation" in item.callspec.params
    return "serve" in item.fixturenames and not named


@pytest.fixture
async def serve(pytestconfig: pytest.Config) -> AsyncIterator[Serve]:
    """Run ASGI apps in real servers on free ports. All are stopped when the test ends.

    `server = await serve(app)`, then `server.url`. See `tests.support.servers.Serve` for the options.
    """
    async with AsyncExitStack() as stack:

        async def start(
            app: ASGIApp, implementation: Implementation | None = None, *, port: int = 0, root_path: str = ""
        ) -> LiveServer:
            implementation = implementation or pytestconfig.getoption("--server") or "uvicorn"
            return await stack.enter_async_context(running(app, implementation, port=port, root_path=root_path))

        yield start


@pytest.fixture
async def node() -> AsyncIterator[Node]:
    """Stock socket.io-client of npm: `client = await node.connect(server.url, "/", auth={"token": …})`."""
    async with node_process() as process:
        yield process
