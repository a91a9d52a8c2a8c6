"""An app that passes its own client of Redis instead of a URL, in two processes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from redis.asyncio import Redis

from asgi_realtime import Broadcaster, Settings, SocketIOGateway, SyncBroadcaster
from asgi_realtime.errors import ConfigurationError
from tests.support.cluster import Cluster, Node
from tests.support.redis_server import RedisProcess
from tests.support.target_process import target_process


@pytest.fixture
async def nodes(tmp_path: Path, redis_process: RedisProcess) -> AsyncIterator[tuple[Cluster, Node, Node]]:
    """Two processes of the app, started as a server starts them, and not as a test does."""
    cluster = Cluster(tmp_path, redis_process.url)
    async with AsyncExitStack() as stack:

        async def start(name: str) -> Node:
            folder = tmp_path / name
            folder.mkdir()
            module = "tests.support.ready_client_app"
            process = target_process(folder, module=module, environ=cluster.environ, in_test=False)
            return Node(await stack.enter_async_context(process), await stack.enter_async_context(httpx.AsyncClient()))

        yield cluster, await start("first"), await start("second")


async def test_two_processes_with_a_ready_client_serve_one_app(nodes: tuple[Cluster, Node, Node]) -> None:
    cluster, first, second = nodes
    ada, bob = await first.connect("ada"), await second.connect("bob")
    for client in (ada, bob):
        await client.call("join", "lobby")
    await first.call("broadcast_to_room", "lobby", "news", 1)
    for client in (ada, bob):
        assert (await client.expect("news")).args == [1]
    # The client is the host's as before: its only connection is free.
    async with httpx.AsyncClient() as http:
        for number, node in enumerate((first, second), 1):
            assert (await http.post(f"{node.url}/visits")).json() == number

    eve = await second.connect("eve", "/chat")
    [sid] = await eve.call("join", "attic")
    await first.call_at("/server", "leave_room", sid, "attic", namespace="/chat")
    await first.call_at("/server", "emit", "for the attic", 1, room="attic", namespace="/chat")
    await first.call_at("/server", "emit", "for eve", 2, to=sid, namespace="/chat")
    assert (await eve.expect("for eve")).args == [2]
    assert [each.event for each in eve.events] == ["for eve"]
    await first.call_at("/server", "disconnect", sid, namespace="/chat")
    await eve.disconnection()

    settings = Settings(redis_prefix=cluster.prefix)
    async with Redis.from_url(cluster.redis_url) as redis:
        async with Broadcaster.connect(redis=redis, gateways=[SocketIOGateway("/")], settings=settings) as broadcaster:
            await broadcaster.broadcast_to_room("lobby", "from a worker")
            assert await broadcaster.online_users() == {"ada", "bob"}
        await ada.expect("from a worker")
        await ada.disconnect()
        await bob.expect("from a worker")
        await bob.disconnect()


def test_a_synchronous_program_may_pass_a_client_too(redis_process: RedisProcess) -> None:
    redis = Redis.from_url(redis_process.url)
    with SyncBroadcaster.connect(redis=redis, settings=Settings(redis_prefix="test-sync")) as broadcaster:
        assert broadcaster.broadcast_to_all("news").replicated


async def test_a_url_and_a_client_are_refused() -> None:
    redis = Redis()
    with pytest.raises(ConfigurationError, match=r"^redis= and redis_url both say where Redis is; keep one of them$"):
        await Broadcaster.connect("redis://localhost", redis=redis).__aenter__()
    with pytest.raises(ConfigurationError, match=r"^redis= and MEW_REDIS_URL both say"):
        await Broadcaster.connect(redis=redis, settings=Settings(redis_url="redis://localhost")).__aenter__()
    with pytest.raises(ConfigurationError, match=r"^redis_url takes text, not a Redis; write redis= for a client$"):
        await Broadcaster.connect(redis).__aenter__()  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match=r"^redis_url: the URL must begin with"):
        await Broadcaster.connect("localhost").__aenter__()
