"""A gateway whose handlers queue work on their own connection, which runs when they have ended."""

from __future__ import annotations

import asyncio

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user_model
from django.db import connection as database
from django.db import transaction

from asgi_realtime import Connection, SocketIOGateway, on
from asgi_realtime.django import SessionAuthenticator
from tests.support.django_project.models import Note


class LateWork(SocketIOGateway):
    """Each handler uses the ORM before it queues the work."""

    def __init__(self, namespace: str) -> None:
        super().__init__(namespace, authenticator=SessionAuthenticator())
        self._begun = asyncio.Event()
        self._checked = asyncio.Event()

    async def on_connect(self, connection: Connection) -> None:
        await connection.join("all")

    @on("later")
    async def later(self, connection: Connection) -> None:
        """Queues work that uses the ORM."""
        await Note.objects.acount()
        self.run_later(connection, "count later", self._count)

    async def _count(self, connection: Connection) -> None:
        await connection.send("counted", await Note.objects.acount())

    @on("leave")
    async def leave(self, connection: Connection) -> None:
        """Queues `on_disconnect`, which uses the ORM."""
        await Note.objects.acount()
        await connection.close()

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        user = await get_user_model().objects.aget(pk=connection.identity.user_id)
        await self.broadcaster.broadcast_to_room("all", "left", user.username)

    @on("check")
    async def check(self, connection: Connection) -> None:
        """Queues work with a plain function, which runs while `begin` has a transaction open."""
        await Note.objects.acount()
        self.run_later(connection, "check later", self._check)

    async def _check(self, connection: Connection) -> None:
        await self._begun.wait()
        try:
            await connection.join("tea", allowed=lambda: not database.in_atomic_block)
            await connection.send("checked")
        finally:
            self._checked.set()

    @on("begin")
    async def begin(self) -> None:
        """Opens a transaction, and rolls it back when `check` has ended."""
        atomic = transaction.atomic()
        await sync_to_async(atomic.__enter__)()
        self._begun.set()
        await self._checked.wait()
        await sync_to_async(atomic.__exit__)(None, None, None)


GATEWAYS = [LateWork("/")]
