"""Handlers and the ORM: in threads and in coroutines, and no connection to the database stays open."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.django_server import DjangoServer, django_server
from tests.support.waiting import until


async def test_handlers_use_the_orm_and_close_its_connections(django: DjangoServer) -> None:
    async with django.log_in("ann") as ann, AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(ann.notes()) for _ in range(10)]
        for number, notes in enumerate(clients):
            await notes.expect("hello")
            await notes.send("write", f"plain {number}")
            await notes.send("awrite", f"async {number}")
            await notes.send("may", "tea")
            await notes.send("fail")
        for number, notes in enumerate(clients):
            assert (await notes.expect("written"))["count"] >= 1
            assert (await notes.expect("written"))["texts"] == [f"async {number}"]
            await notes.expect("error")  # this user may not join the room
        await until(lambda: django.database_files == 0)


async def test_connections_that_may_be_kept_are_bounded(folder: Path) -> None:
    settings = {"DATABASES": {"default": _sqlite(folder, CONN_MAX_AGE=600)}}
    with django_server(folder, settings=settings, variables={"MEW_HOST_THREADS": "3"}) as django:
        async with django.log_in("ann") as ann, AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(ann.notes()) for _ in range(20)]
            for notes in clients:
                await notes.send("write", "plain")
                await notes.send("awrite", "async")
            for notes in clients:
                await notes.expect("written")
                await notes.expect("written")
        # At most three of plain handlers, three of async ones, and that of the request, which Python has not freed yet.
        assert 1 <= django.database_files <= 7


async def test_an_async_handler_waits_only_for_a_thread(folder: Path) -> None:
    with django_server(folder, variables={"MEW_HOST_THREADS": "2"}) as django:
        async with django.log_in("ann") as ann, AsyncExitStack() as stack:
            first, second, third, fourth = [await stack.enter_async_context(ann.notes()) for _ in range(4)]
            for notes in (first, second):
                await notes.send("hold")
                await notes.expect("held")
            await third.send("awrite", "waits")
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await third.expect("written")
            await fourth.send("write", "a plain handler has another thread")
            await fourth.expect("written")
            await fourth.send("release")
            await third.expect("written")
            await until(lambda: django.database_files == 0)


async def test_a_handler_that_is_cancelled_while_it_waits_leaves_nothing(folder: Path) -> None:
    with django_server(folder, variables={"MEW_HOST_THREADS": "1", "MEW_HANDLER_TIMEOUT": "1"}) as django:
        async with django.log_in("ann") as ann, ann.notes() as first, ann.notes() as second:
            await first.send("keep")
            await first.expect("kept")
            await second.send("awrite", "never written")
            await second.expect("error")  # the first is over its time too, but has the only thread until `release`
            await second.send("release")
            await second.send("awrite", "written")
            assert (await second.expect("written"))["texts"] == ["written"]
            await until(lambda: django.database_files == 0)


def _sqlite(folder: Path, **options: object) -> dict[str, object]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": f"{folder}/project.sqlite3",
        "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"},
        **options,
    }
