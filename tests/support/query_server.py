"""A server of the Django project whose gateway queries a database of PostgreSQL, and its clients."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tests.support.crowd.client import LightClient
from tests.support.django_server import DjangoServer, django_server
from tests.support.postgresql_server import PostgresProcess

GATEWAYS = {"ASGI_REALTIME": {"GATEWAYS": "tests.support.django_project.queries.GATEWAYS"}}
INTERNAL = [{"success": False, "code": "INTERNAL", "message": "internal error"}]
"""The acknowledgement of an event whose handler has failed."""
_AT_ONCE = 50
_LOCK = 1


class QueryServer:
    """The server, and the database that only it uses."""

    def __init__(self, django: DjangoServer, postgresql: PostgresProcess, database: str) -> None:
        self.django = django
        self.postgresql = postgresql
        self.database = database

    async def connections(self) -> int:
        """How many connections it has to the database."""
        return await self.postgresql.connections(self.database)

    async def has_no_connection(self) -> bool:
        """Whether it has none."""
        return await self.connections() == 0

    @contextlib.asynccontextmanager
    async def clients(
        self, count: int = 1, on_event: Callable[[list[Any]], None] = lambda _: None
    ) -> AsyncIterator[list[LightClient]]:
        """Connect clients with one session. They are dropped when the block ends."""
        async with self.django.log_in("ann") as ann:
            clients = [LightClient("", on_event, cookie=ann.cookie) for _ in range(count)]
            for first in range(0, count, _AT_ONCE):
                group = clients[first : first + _AT_ONCE]
                accepted = await asyncio.gather(*[client.connect(self.django.port) for client in group])
                assert all(accepted), group[0].outcome
            try:
                yield clients
            finally:
                for client in clients:
                    client.drop()
                await asyncio.gather(*[client.ended for client in clients])

    @contextlib.asynccontextmanager
    async def lock(self) -> AsyncIterator[str]:
        """Hold a lock of the database. Returns a query that waits for it until the block ends."""
        connection = await self.postgresql.connect(self.database)
        try:
            await connection.execute(f"SELECT pg_advisory_lock({_LOCK})")
            yield f"SELECT pg_advisory_xact_lock({_LOCK})"
        finally:
            await connection.close()

    async def waits(self, expected: int) -> bool:
        """Whether so many queries wait for the lock."""
        [count] = await self.postgresql.fetch(
            "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
            "WHERE locktype = 'advisory' AND NOT granted AND datname = $1",
            self.database,
        )
        return bool(count == expected)


@contextlib.contextmanager
def query_server(
    postgresql: PostgresProcess, folder: Path, options: Mapping[str, object] = MappingProxyType({}), **variables: str
) -> Iterator[QueryServer]:
    """Run a server with a copy of the database `made`. `options` are those of Django's setting `DATABASES`."""
    database = f"test_{secrets.token_hex(4)}"
    postgresql.create_database(database, template="made")
    settings = GATEWAYS | postgresql.settings(database, **options)
    one_user = dict.fromkeys(("MEW_CONNECTIONS_PER_USER", "MEW_USER_EVENT_RATE", "MEW_USER_EVENT_BURST"), "100000")
    variables = one_user | variables
    with django_server(folder, settings=settings, variables=variables) as django:
        yield QueryServer(django, postgresql, database)
        assert "SynchronousOnlyOperation" not in django.output


async def called(clients: Sequence[LightClient], event: str, *payload: object) -> list[list[Any] | None]:
    """The acknowledgements of an event that all these clients send at once."""
    return await asyncio.gather(*[client.called(event, *payload) for client in clients])
