"""Work that a handler queues on its own connection runs after it, in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.crowd.client import LightClient
from tests.support.django_server import PATIENCE, DjangoServer, copy_database, django_server

GATEWAYS = {"ASGI_REALTIME": {"GATEWAYS": "tests.support.django_project.late_work.GATEWAYS"}}


@pytest.fixture(scope="module")
def server(made_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DjangoServer]:
    """All async handlers have the same thread, in turn."""
    folder = copy_database(made_database, tmp_path_factory.mktemp("late_work"))
    with django_server(folder, settings=GATEWAYS, variables={"MEW_HOST_THREADS": "1"}) as server:
        yield server
        assert "Traceback" not in server.output


class Client:
    """A client of the gateway."""

    def __init__(self, cookie: str) -> None:
        self._events: asyncio.Queue[list[object]] = asyncio.Queue()
        self.socket = LightClient("", self._events.put_nowait, cookie=cookie)

    async def event(self) -> list[object]:
        """The next event."""
        async with asyncio.timeout(PATIENCE):
            return await self._events.get()


@contextlib.asynccontextmanager
async def client(server: DjangoServer, name: str) -> AsyncIterator[Client]:
    """Connect a client of a user. It is dropped when the block ends."""
    async with server.log_in(name) as user:
        client = Client(user.cookie)
        assert await client.socket.connect(server.port), client.socket.outcome
        try:
            yield client
        finally:
            client.socket.drop()
            await client.socket.ended


async def test_it_may_use_the_orm(server: DjangoServer) -> None:
    async with client(server, "ann") as ann:
        await ann.socket.called("later")
        assert await ann.event() == ["counted", 0]


async def test_on_disconnect_may_use_the_orm_after_a_handler_has_closed_the_connection(server: DjangoServer) -> None:
    async with client(server, "ann") as ann, client(server, "bob") as bob:
        await bob.socket.called("leave")
        while await ann.event() != ["left", "bob"]:
            pass  # a client of another test, which has left just now


async def test_its_plain_functions_never_run_in_the_transaction_of_another_handler(server: DjangoServer) -> None:
    async with client(server, "ann") as ann, client(server, "bob") as bob:
        await ann.socket.called("check")
        await bob.socket.called("begin")
        assert await ann.event() == ["checked"]
