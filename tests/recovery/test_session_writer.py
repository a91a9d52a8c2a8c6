"""Sessions are written on the links of their gateways, and none holds another one back."""

from __future__ import annotations

import contextlib
import logging
import secrets
from collections.abc import AsyncIterator

import pytest

from asgi_realtime.metrics import Meter
from asgi_realtime.recovery.session import SessionId
from asgi_realtime.recovery.session_writer import SessionWrite, SessionWriter
from asgi_realtime.redis.gateway_links import GatewayLinks
from asgi_realtime.redis.keys import SHARED, Keys
from asgi_realtime.redis.link import UNSENT_BYTES
from asgi_realtime.redis.server import RedisServer
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.ids import GatewayName
from tests.support.redis_cluster import redis_cluster
from tests.support.redis_server import RedisProcess, redis_server
from tests.support.waiting import until

ROOT, OTHER = GatewayName("/"), GatewayName("/other")
WRITE = SessionWrite(True, b"data", 60_000)
SECONDS = 20.0
"""Most seconds that a test waits for what must come."""


class Process:
    """A writer with its links to Redis."""

    def __init__(self, url: str, prefix: str) -> None:
        self.tasks = Tasks()
        self.links = GatewayLinks(RedisServer(url), prefix=prefix, timeout=5.0, meter=Meter())
        self.writer = SessionWriter(self.links, self.tasks)

    async def written(self, gateway: GatewayName) -> None:
        """Wait until the writer says that everything is written."""
        waiting = self.writer.written(gateway)
        assert waiting is not None
        await waiting

    def kept(self, server: RedisProcess, *ids: SessionId) -> list[bool]:
        """Which sessions a server has."""
        with server.client() as client:
            return [bool(client.exists(self.links.keys(id.gateway).session(id.digest))) for id in ids]


@contextlib.asynccontextmanager
async def process(url: str, *gateways: GatewayName, prefix: str = "test") -> AsyncIterator[Process]:
    found = Process(url, prefix)
    found.tasks.start()
    found.writer.start()
    found.links.open(
        on_message=lambda channel, payload: None,
        own={},
        on_up=lambda reconnecting, link: None,
        on_lost=lambda: None,
        tasks=found.tasks,
    )
    try:
        await found.links.start()
        for gateway in gateways:
            await found.links.of(gateway).until_up()
        yield found
    finally:
        await found.links.close()
        await found.tasks.aclose()


def new_prefix() -> str:
    return f"test-{secrets.token_hex(4)}"


async def test_a_server_that_is_down_holds_only_its_own_gateways_back() -> None:
    with redis_cluster() as cluster:
        owners = {
            name: cluster.owner(Keys("test", name).state) for name in [GatewayName(f"/{each}") for each in range(20)]
        }
        shared = cluster.owner(Keys("test", SHARED).state)
        away = next(name for name, owner in owners.items() if owner != shared)
        near = next(name for name, owner in owners.items() if owner == shared)
        ids = SessionId(away, "a"), SessionId(near, "n")
        async with process(cluster.url, away, near) as this:
            cluster.masters[owners[away]].kill()
            await until(lambda: this.links.of(away).current is None)
            for id in ids:
                this.writer.write(id, "owner", lambda: WRITE)
            assert this.writer.written(away) is None
            await this.written(near)
            assert this.kept(cluster.masters[shared], ids[1]) == [True]
            cluster.masters[owners[away]].start()
            await this.writer.until_idle(SECONDS)
            assert this.kept(cluster.masters[owners[away]], ids[0]) == [True]


async def test_a_call_does_not_wait_for_a_link_that_is_lost_before_its_round(redis_process: RedisProcess) -> None:
    async with process(redis_process.url, prefix=new_prefix()) as this:
        id = SessionId(ROOT, "s")
        this.writer.write(id, "owner", lambda: WRITE)
        waiting = this.writer.written(ROOT)
        link = this.links.current()
        assert waiting is not None and link is not None
        redis_process.freeze()
        try:
            link.abort()
            await waiting
        finally:
            redis_process.thaw()
        await this.writer.until_idle(SECONDS)
        assert this.kept(redis_process, id) == [True]


async def test_a_session_that_cannot_be_made_is_logged_and_the_others_are_kept(
    redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> SessionWrite:
        raise LookupError("of the host")

    async with process(redis_process.url, prefix=new_prefix()) as this:
        ids = [SessionId(ROOT, str(number)) for number in range(300)]
        for number, id in enumerate(ids):
            this.writer.write(id, "owner", fail if number % 100 == 0 else lambda: WRITE)
        await this.written(ROOT)
        assert this.kept(redis_process, *ids) == [number % 100 != 0 for number in range(300)]
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert lines == ["/: a recovery session cannot be made: LookupError('of the host')"]


async def test_refusals_are_logged_once_in_a_minute_for_each_gateway(
    redis_process: RedisProcess, caplog: pytest.LogCaptureFixture
) -> None:
    async with process(redis_process.url, prefix=new_prefix()) as this:
        with redis_process.client() as client:
            for gateway in (ROOT, OTHER):
                for number in range(100):
                    id = SessionId(gateway, str(number))
                    client.set(this.links.keys(gateway).session(id.digest), "no hash")
                    this.writer.write(id, "owner", lambda: WRITE)
        await this.writer.until_idle(SECONDS)
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert len(lines) == 2
    for gateway, line in zip((ROOT, OTHER), lines, strict=True):
        assert line.startswith(f"{gateway}: Redis refused to keep a recovery session: ")
        assert "WRONGTYPE" in line


async def test_the_event_loop_runs_while_redis_does_not_read() -> None:
    with redis_server() as server:
        async with process(server.url) as this:
            link = this.links.current()
            assert link is not None
            server.freeze()
            try:
                for _ in range(2):
                    link.send(lambda reply: None, "ECHO", b"x" * UNSENT_BYTES)
                id = SessionId(ROOT, "s")
                this.writer.write(id, "owner", lambda: WRITE)
                await this.written(ROOT)  # it could not be
            finally:
                server.thaw()
            await this.writer.until_idle(SECONDS)
            assert this.kept(server, id) == [True]
