"""The gateways: handlers that use the ORM, plain and async."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from django.contrib.auth import get_user_model

from asgi_realtime import (
    Connection,
    Identity,
    JWTAuthenticator,
    JWTVerifier,
    SocketIOGateway,
    SyncConnection,
    WebSocketGateway,
    on,
    token_from_query,
)
from asgi_realtime.django import SessionAuthenticator, get_settings
from tests.support.django_project.models import Membership, Note

by_session_or_token = SessionAuthenticator(
    claims=lambda user: {"email": user.email},
    tokens=JWTAuthenticator(JWTVerifier(get_settings()), [token_from_query("token")]),
)


class Notes(WebSocketGateway):
    """Clients write notes, and get those of the room `notes`."""

    def __init__(self, path: str) -> None:
        super().__init__(path, authenticator=by_session_or_token, auth_frame=False)
        self._released = asyncio.Event()

    def on_connect(self, connection: SyncConnection) -> None:  # type: ignore[override]
        """A plain hook with the ORM."""
        user = get_user_model().objects.get(pk=connection.identity.user_id)
        connection.join("notes")
        connection.send("hello", {"name": user.username, "claims": sorted(connection.identity.claims)})

    @on("write")
    def write(self, text: str, connection: SyncConnection) -> None:
        note = Note.objects.create(room="notes", text=text)
        connection.send("written", {"id": note.pk, "count": Note.objects.count()})

    @on("awrite")
    async def awrite(self, text: str, connection: Connection) -> None:
        note = await Note.objects.acreate(room="notes", text=text)
        texts = [each.text async for each in Note.objects.filter(pk=note.pk).aiterator(chunk_size=1)]
        await connection.send("written", {"id": note.pk, "texts": texts})

    @on("may")
    async def may(self, room: str, connection: Connection) -> None:
        """Asks the ORM in a thread of the host, from an async handler."""
        found = Membership.objects.filter(user_id=connection.identity.user_id, room=room)
        await connection.join(room, allowed=lambda: found.exists())
        await connection.send("joined", {"room": room})

    @on("hold")
    async def hold(self, connection: Connection) -> None:
        """Uses the database, and waits until `release`."""
        await Note.objects.acount()
        await connection.send("held")
        await self._released.wait()

    @on("keep")
    async def keep(self, connection: Connection) -> None:
        """Uses the database. Keeps its thread until `release`, also after `MEW_HANDLER_TIMEOUT` has cancelled it."""
        await Note.objects.acount()
        await connection.send("kept")
        try:
            await self._released.wait()
        except asyncio.CancelledError:
            await self._released.wait()

    @on("release")
    async def release(self) -> None:
        self._released.set()

    @on("fail")
    async def fail(self) -> None:
        await Note.objects.aget(text="there is no such note")


class Rooms(SocketIOGateway):
    """The rooms of a user are in the database. Its service is async."""

    async def on_connect(self, connection: Connection) -> None:
        await self.enter_rooms(connection)
        await connection.join("everybody")

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        memberships = Membership.objects.filter(user_id=identity.user_id)
        return {membership.room: None async for membership in memberships}

    @on("rooms")
    async def rooms(self, connection: Connection) -> list[str]:
        return sorted(connection.rooms)

    @on("count")
    def count(self) -> int:
        """A plain handler with the ORM."""
        return int(Note.objects.count())


GATEWAYS = [Rooms("/", authenticator=SessionAuthenticator()), Notes("/notes")]
