"""Coroutines that occupy the only thread for the database, and wait for other code that needs one."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import jwt
import pytest
from websockets.asyncio.client import connect

from tests.support.django_server import DjangoServer, Notes, copy_database, django_server
from tests.support.waiting import until

SECRET = "a secret of at least thirty-two bytes"
GATEWAYS = "tests.support.django_project.waiting_handlers.GATEWAYS"
PENDING = 450
"""As in that module, which can be imported only in a Django process."""


@pytest.fixture(scope="module")
def one_thread(made_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DjangoServer]:
    folder = copy_database(made_database, tmp_path_factory.mktemp("waiting"))
    settings = {"ASGI_REALTIME": {"GATEWAYS": GATEWAYS, "MEW_JWT_SECRET": SECRET}}
    variables = {"MEW_HOST_THREADS": "1", "MEW_HANDLER_TIMEOUT": "5"}
    with django_server(folder, settings=settings, variables=variables) as server:
        yield server


@contextlib.asynccontextmanager
async def member(server: DjangoServer) -> AsyncIterator[Notes]:
    async with server.log_in("ann") as ann:
        url = f"{server.url.replace('http', 'ws')}/members?recovery=false"
        async with connect(url, additional_headers={"Cookie": ann.cookie, "Origin": server.url}) as socket:
            yield Notes(socket)


async def test_handlers_and_on_connect_wait_for_rooms_of(one_thread: DjangoServer) -> None:
    async with member(one_thread) as ann:
        await ann.send("become", "tea")
        assert await ann.expect("rooms") == ["tea"]
    await until(lambda: one_thread.database_files == 0)
    assert "TimeoutError" not in one_thread.output


async def test_a_plain_and_an_async_handler_do_not_wait_for_each_other(one_thread: DjangoServer) -> None:
    async with member(one_thread) as first, member(one_thread) as second:
        for ann in (first, second):  # `on_connect` of both has ended
            await ann.send("become", "tea")
            assert await ann.expect("rooms") == ["tea"]
        await first.send("count after follow")
        await first.expect("counting")
        await second.send("follow", "news")
        assert await second.expect("rooms") == ["news", "tea"]
        await first.expect("counted")
    await until(lambda: one_thread.database_files == 0)
    assert "TimeoutError" not in one_thread.output


async def test_the_rest_of_pending_messages_waits_until_the_first_ones_are_reported(one_thread: DjangoServer) -> None:
    token = jwt.encode({"sub": "cat"}, SECRET)
    url = f"{one_thread.url.replace('http', 'ws')}/chat?recovery=false&token={token}"
    async with connect(url) as socket:
        chat = Notes(socket)
        assert [(await chat.expect("message"))["id"] for _ in range(PENDING)] == [str(each) for each in range(PENDING)]
    await until(lambda: one_thread.database_files == 0)
    assert "TimeoutError" not in one_thread.output
