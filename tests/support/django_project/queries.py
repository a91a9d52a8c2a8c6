"""A gateway whose authenticator, wrapper and handlers query the database, for tests with PostgreSQL."""

from __future__ import annotations

import asyncio
from typing import Any

from asgiref.sync import sync_to_async
from django.db import connection, transaction

from asgi_realtime import CallNext, ClientEvent, Connection, Handshake, Identity, SocketIOGateway, SyncConnection, on
from asgi_realtime.django import SessionAuthenticator, get_broadcaster
from tests.support.django_project.models import Note

_by_session = SessionAuthenticator()


async def authenticate(handshake: Handshake) -> Identity:
    """Read the session in a thread, and use the ORM in a coroutine."""
    identity = await _by_session(handshake)
    await Note.objects.acount()
    return identity


async def count_around(event: ClientEvent, call_next: CallNext) -> Any:
    """A wrapper that uses the ORM."""
    await Note.objects.acount()
    return await call_next(event)


def run_sql(statement: str, *arguments: object) -> Any:
    """Run a statement. Returns the first column of its first row. None: it has no rows."""
    with connection.cursor() as cursor:
        cursor.execute(statement, arguments)
        return None if cursor.description is None else cursor.fetchone()[0]


def write_note(text: str, end: str) -> None:
    """Write a note in a transaction that ends in a certain way, and broadcast it after the commit."""
    with transaction.atomic():
        Note.objects.create(room="all", text=text)
        transaction.on_commit(lambda: get_broadcaster().broadcast_to_room("all", "written", text))
        match end:
            case "raise":
                raise ValueError(text)
            case "rollback":
                transaction.set_rollback(True)
            case "fail":
                run_sql("SELECT 1 / 0")
            case "hide the failure":
                try:
                    run_sql("SELECT 1 / 0")
                except Exception:
                    Note.objects.count()  # the transaction is broken
            case "savepoint":
                try:
                    with transaction.atomic():
                        Note.objects.create(room="all", text=f"{text} inside")
                        run_sql("SELECT 1 / 0")
                except Exception:
                    pass
            case "break":
                run_sql("SELECT pg_terminate_backend(pg_backend_pid())")


class Queries(SocketIOGateway):
    """Plain and async handlers of each kind. Tests give them the statements."""

    async def on_connect(self, connection: Connection) -> None:
        await Note.objects.acount()
        await connection.join("all")

    def on_disconnect(self, connection: SyncConnection, reason: str) -> None:  # type: ignore[override]
        Note.objects.count()

    @on("sql")
    def sql(self, statement: str) -> Any:
        return run_sql(statement)

    @on("asql")
    async def asql(self, statement: str) -> Any:
        return await sync_to_async(run_sql)(statement)

    @on("write")
    def write(self, note: list[str]) -> None:
        write_note(*note)

    @on("awrite")
    async def awrite(self, note: list[str]) -> None:
        await sync_to_async(write_note)(*note)

    @on("read")
    async def read(self) -> list[str]:
        """Read all notes by a cursor of the server, while others are counted."""
        counts = asyncio.gather(*[Note.objects.acount() for _ in range(3)])
        texts = [note.text async for note in Note.objects.order_by("pk").aiterator(chunk_size=1)]
        await counts
        return texts

    @on("raise")
    def raise_(self) -> None:
        Note.objects.count()
        raise RuntimeError("after a query")

    @on("araise")
    async def araise(self) -> None:
        await Note.objects.acount()
        raise RuntimeError("after a query")

    @on("abandon")
    def abandon(self) -> None:
        """Leave a transaction open."""
        transaction.atomic().__enter__()
        Note.objects.create(room="all", text="never committed")

    @on("aabandon")
    async def aabandon(self) -> None:
        """The same, as a handler leaves it that is cancelled between the begin of a transaction and its end."""
        await sync_to_async(self.abandon)()

    @on("no autocommit")
    def no_autocommit(self) -> None:
        transaction.set_autocommit(False)
        Note.objects.create(room="all", text="never committed")


queries = Queries("/", authenticator=authenticate)
queries.use(count_around)
GATEWAYS = [queries]
