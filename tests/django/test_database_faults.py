"""PostgreSQL goes away, hangs and comes back, and queries outlive their handlers. The gateways keep on working."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator

import pytest

from tests.support.crowd.client import LightClient
from tests.support.postgresql_server import PostgresProcess
from tests.support.query_server import INTERNAL, QueryServer, called, query_server
from tests.support.waiting import until

THREADS = 2
BREAK = "SELECT pg_terminate_backend(pg_backend_pid())"


@pytest.fixture(scope="module")
def server(postgresql: PostgresProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryServer]:
    """Keeps its connections, and checks them. Handlers may take two seconds."""
    options = {"CONN_MAX_AGE": None, "CONN_HEALTH_CHECKS": True}
    variables = {"MEW_HOST_THREADS": str(THREADS), "MEW_HANDLER_TIMEOUT": "2"}
    with query_server(postgresql, tmp_path_factory.mktemp("server"), options, **variables) as server:
        yield server


@pytest.mark.parametrize("handler", ["sql", "asql"])
async def test_a_connection_that_breaks_fails_one_event(server: QueryServer, handler: str) -> None:
    async with server.clients() as [client]:
        for _ in range(3):
            assert await client.called(handler, BREAK) == INTERNAL
            assert await client.called(handler, "SELECT 1") == [1]


async def test_a_query_outlives_a_handler_that_is_cancelled(server: QueryServer) -> None:
    async with server.clients(2) as clients, server.lock() as waits:
        first, second = clients
        assert await first.called("asql", waits) == INTERNAL
        assert await server.waits(1)
        for _ in range(3):  # its thread is not used until the query has ended
            assert await second.called("asql", "SELECT 1") == [1]
        first.call("asql", waits, then=lambda _: None)
        await until(lambda: server.waits(THREADS))
        assert await second.called("asql", "SELECT 1") == INTERNAL  # both threads are busy
    async with server.clients() as [client]:
        await until(lambda: _answers(client, "asql"))


@pytest.mark.parametrize("handler", ["sql", "asql"])
async def test_a_client_leaves_while_its_query_runs(server: QueryServer, handler: str) -> None:
    async with server.lock() as waits:
        async with server.clients(THREADS) as clients:
            for client in clients:
                client.call(handler, waits, then=lambda _: None)
            await until(lambda: server.waits(THREADS))
    async with server.clients() as [client]:
        await until(lambda: _answers(client, handler))


async def test_the_database_is_restarted(server: QueryServer) -> None:
    async with server.django.log_in("ann") as ann, server.clients(20) as clients:
        logged = server.django.output.count("Traceback")
        server.postgresql.stop()
        try:
            for _ in range(5):
                for event in ("sql", "asql"):
                    assert await called(clients, event, "SELECT 1") == [INTERNAL] * 20
            refused = LightClient("", lambda _: None, cookie=ann.cookie)
            assert not await refused.connect(server.django.port)
            assert "INTERNAL" in refused.reason, refused.outcome
            await refused.ended
        finally:
            server.postgresql.start()
        for event in ("sql", "asql"):
            assert await called(clients, event, "SELECT 1") == [[1]] * 20
        # Each failure of one kind is logged once in a minute. Django chains two exceptions.
        assert 0 < server.django.output.count("Traceback") - logged <= 8


async def test_the_database_hangs(server: QueryServer) -> None:
    async with server.clients(10) as clients:
        await server.postgresql.end_connections(server.database)
        server.postgresql.freeze()
        try:
            calls = called(clients[:5], "asql", "SELECT 1"), called(clients[5:], "sql", "SELECT 1")
            assert list(await asyncio.gather(*calls)) == [[INTERNAL] * 5] * 2
        finally:
            server.postgresql.thaw()
        for event in ("sql", "asql"):
            await until(functools.partial(_answers, clients[0], event))
            assert await called(clients, event, "SELECT 1") == [[1]] * 10
    assert await server.connections() <= 2 * THREADS + 1


async def _answers(client: LightClient, event: str) -> bool:
    """Whether a query succeeds. False: all threads were busy until the handler's timeout."""
    return await client.called(event, "SELECT 1") == [1]
