"""Transactions in handlers on PostgreSQL: what is rolled back is not broadcast, and no transaction is left open."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgresql_server import PostgresProcess
from tests.support.query_server import INTERNAL, QueryServer, called, query_server
from tests.support.waiting import until


@pytest.fixture(scope="module")
def server(postgresql: PostgresProcess, tmp_path_factory: pytest.TempPathFactory) -> Iterator[QueryServer]:
    with query_server(postgresql, tmp_path_factory.mktemp("server"), MEW_HOST_THREADS="2") as server:
        yield server


@pytest.mark.parametrize("handler", ["write", "awrite"])
async def test_only_what_is_committed_is_broadcast(server: QueryServer, handler: str) -> None:
    ends = {
        "raise": INTERNAL,
        "rollback": [],
        "fail": INTERNAL,
        "hide the failure": INTERNAL,
        "break": INTERNAL,
        "savepoint": [],
        "commit": [],
    }
    events: list[list[object]] = []
    async with server.clients(on_event=events.append) as [client]:
        for end, expected in ends.items():
            assert await client.called(handler, [f"{handler} {end}", end]) == expected, end
        # Events are sent before the acknowledgement of their handler.
        assert events == [["written", f"{handler} savepoint"], ["written", f"{handler} commit"]]
        [texts] = await client.called("read") or [None]
        assert [text for text in texts if text.startswith(handler)] == [f"{handler} savepoint", f"{handler} commit"]


@pytest.mark.parametrize("handler", ["abandon", "aabandon", "no autocommit"])
async def test_a_transaction_that_is_left_open_is_rolled_back(server: QueryServer, handler: str) -> None:
    async with server.clients(4) as clients:
        assert await called(clients, handler) == [[]] * 4  # at once, for both threads
        for event in ("sql", "asql"):
            assert await called(clients, event, "SELECT 1") == [[1]] * 4
        assert "never committed" not in str(await clients[0].called("read"))
    await until(server.has_no_connection)
