"""Connections to PostgreSQL: none is leaked, whatever handlers do, and each way in which Django keeps them works.

The short form has 20 clients. `make test-faults` runs the long form with 500: `FAULTS=long`.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest

from tests.support.postgresql_server import PostgresProcess
from tests.support.query_server import INTERNAL, called, query_server
from tests.support.waiting import until

CLIENTS = 500 if os.environ.get("FAULTS") == "long" else 20
THREADS = 4
# Plain handlers have as many threads as async ones. The request of the login had one more, which Python may not have
# freed yet.
KEPT = 2 * THREADS + 1
EVENTS: dict[tuple[Any, ...], list[Any]] = {
    ("sql", "SELECT 1"): [1],
    ("asql", "SELECT 1"): [1],
    ("read",): [[]],
    ("raise",): INTERNAL,
    ("araise",): INTERNAL,
    ("write", ("lost", "raise")): INTERNAL,
    ("awrite", ("lost", "rollback")): [],
    ("sql", "SELECT 1 / 0"): INTERNAL,
    ("asql", "SELECT 1 / 0"): INTERNAL,
}
POOL = {
    "CONN_HEALTH_CHECKS": True,
    "OPTIONS": {
        "pool": {"min_size": 2, "max_size": 4},
        "connect_timeout": 5,
        "options": "-c statement_timeout=20s",
    },
}


@pytest.mark.timeout(600)  # of the long form
@pytest.mark.parametrize(
    ("options", "most"),
    [
        pytest.param({}, KEPT, id="closed after each handler"),
        pytest.param({"CONN_MAX_AGE": None}, KEPT, id="kept"),
        pytest.param(POOL, 4, id="pool"),
    ],
)
async def test_connections_are_bounded_and_replaced(
    options: dict[str, Any], most: int, postgresql: PostgresProcess, tmp_path: Path
) -> None:
    with query_server(postgresql, tmp_path, options, MEW_HOST_THREADS=str(THREADS)) as server:
        async with server.clients(CLIENTS) as clients:
            calls = asyncio.gather(*[called(clients, *event) for event in EVENTS])
            peak = 0
            while not calls.done():
                peak = max(peak, await server.connections())
            for (event, expected), answers in zip(EVENTS.items(), await calls, strict=True):
                assert answers == [expected] * CLIENTS, event
            assert 0 < peak <= most

            await postgresql.end_connections(server.database)
            if options == {"CONN_MAX_AGE": None}:  # without checks, the first query on each of them fails, as in a view
                answers = await called(clients, "sql", "SELECT 1")
                failed = answers.count(INTERNAL)
                assert 0 < failed <= 2 * THREADS and answers.count([1]) == CLIENTS - failed
            for name in ("sql", "asql"):
                assert await called(clients, name, "SELECT 1") == [[1]] * CLIENTS
        if options:
            assert await server.connections() <= most
        else:
            await until(server.has_no_connection)
