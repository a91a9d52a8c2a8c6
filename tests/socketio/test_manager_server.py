"""The Redis that a client manager of python-socketio names."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest
import socketio as python_socketio
from redis.asyncio.sentinel import SentinelConnectionPool

from asgi_realtime import ConfigurationError, socketio
from asgi_realtime.socketio.manager_server import server_of
from asgi_realtime.values.json import Json
from tests.support.python_client import PythonClient
from tests.support.redis_cluster import RedisClusterProcesses
from tests.support.redis_sentinel import SERVICE, RedisSentinel
from tests.support.servers import Serve


@pytest.mark.parametrize(
    ("url", "options", "remedy"),
    [
        ("redis+cluster://:secret@one:1,two:2", {}, "redis://host:port"),
        ("rediss+cluster://:secret@one", {"db": 0}, "rediss://host:port"),
        ("redis+sentinel://:secret@one:1/main", {}, "/DATABASE/SERVICE"),
        ("redis+sentinel://:secret@one:1/main/0", {"db": 1}, "/DATABASE/SERVICE"),
        ("rediss+sentinel://:secret@one:1/0/main", {}, "redis_options={'ssl': True}"),
        ("redis+sentinel://:secret@one:port/0/main", {"db": 0}, "the port is not a number"),
        ("redis+sentinel://:secret@one:1/0/main", {"bogus": 1}, "bogus"),
        ("redis://:secret@one:port", {"db": 1}, "the port is not a number"),
        ("redis://one,two", {"db": 1}, "several hosts"),
        ("redis://:secret@one", {"bogus": 1}, "bogus"),
        ("http://:secret@one", {}, "must begin with one of"),
        ("amqp://:secret@one", {"db": 1}, "must begin with one of"),
        ("", {}, "must begin with one of"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_once_with_a_remedy(
    url: str, options: dict[str, Json], remedy: str
) -> None:
    manager = python_socketio.AsyncRedisManager(url, redis_options=options)
    with pytest.raises(ConfigurationError) as refused:
        socketio.AsyncServer(client_manager=manager)
    assert str(refused.value).startswith("SocketIOServer(client_manager=...): ")
    assert remedy in str(refused.value)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "options", "shown"),
    [
        ("redis://one", {}, "one:6379"),
        ("redis://one/2", {"health_check_interval": 5}, "one:6379"),
        ("rediss://one:1", {}, "one:1"),
        ("valkey://one:1", {}, "one:1"),
        ("valkeys://one:1", {"ssl_cert_reqs": "none"}, "one:1"),
        ("unix:///run/redis.sock", {"db": 2}, "/run/redis.sock"),
        ("redis+sentinel://one:1,two:2/0/main", {}, "'main' of the Sentinels at one:1, two:2"),
        ("redis+sentinel://ada:b@one:1,[::1]:2/3/main", {"ssl": True}, "'main' of the Sentinels at one:1, ::1:2"),
        ("valkey+sentinel://one:1//main", {"socket_timeout": 1}, "'main' of the Sentinels at one:1"),
        ("redis+sentinel://one", {}, "'news' of the Sentinels at one:26379"),
        ("redis+sentinel://one,[::1]", {"db": 1}, "'news' of the Sentinels at one:26379, ::1:26379"),
    ],
)
def test_a_url_is_read_as_python_socketio_reads_it(url: str, options: dict[str, Json], shown: str) -> None:
    manager = python_socketio.AsyncRedisManager(url, channel="news", redis_options=options)
    socketio.AsyncServer(client_manager=manager)
    assert repr(server_of(manager)) == f"RedisServer({shown})"


Hears: TypeAlias = Callable[..., Awaitable[None]]


@pytest.fixture
def hears(serve: Serve) -> Hears:
    """Fails unless clients get what is emitted through one URL to a server whose manager has another."""

    async def hears(emitted: str, heard: str, **options: Json) -> None:
        channel = f"test-{secrets.token_hex(4)}"
        manager = python_socketio.AsyncRedisManager(heard, channel=channel, redis_options=options)
        server = await serve(socketio.ASGIApp(socketio.AsyncServer(client_manager=manager)))
        emitter = python_socketio.AsyncRedisManager(emitted, channel=channel, write_only=True)
        ada = PythonClient()
        await ada.connect(server.url)
        async with asyncio.timeout(10):
            while not ada.events:  # until the server has subscribed
                await emitter.emit("news", heard)
        assert ada.events[0].args == [heard]
        await ada.disconnect()
        pool = emitter.redis.connection_pool
        sentinels = pool.sentinel_manager.sentinels if isinstance(pool, SentinelConnectionPool) else []
        for client in (emitter.redis, *sentinels):
            await client.aclose()

    return hears


async def test_the_manager_may_name_sentinels(hears: Hears, redis_sentinel_service: RedisSentinel) -> None:
    url = f"redis+sentinel://127.0.0.1:{redis_sentinel_service.port}/0/{SERVICE}"
    await hears(url, url)
    await hears(url, url, health_check_interval=5)


async def test_the_manager_may_name_one_server_of_a_cluster(
    hears: Hears, redis_cluster_processes: RedisClusterProcesses
) -> None:
    first, second, _ = redis_cluster_processes.ports
    await hears(f"redis://127.0.0.1:{first}", f"redis://127.0.0.1:{second}")
