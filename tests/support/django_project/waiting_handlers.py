"""Gateways whose coroutines use the ORM, and then wait for other code that uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from asgi_realtime import (
    Broadcaster,
    ChatGateway,
    ChatMessage,
    Connection,
    Delivery,
    Identity,
    SavedMessage,
    SyncConnection,
    WebSocketGateway,
    on,
)
from asgi_realtime.django import SessionAuthenticator
from tests.support.django_project.models import Membership, Note

PENDING = 450
"""The gateway asks for them in three parts."""


class Members(WebSocketGateway):
    """The rooms of a user are in the database."""

    def __init__(self, path: str) -> None:
        super().__init__(path, authenticator=SessionAuthenticator(), auth_frame=False)
        self._count = self.host_call(self.count, "count")
        self._following = asyncio.Event()

    def count(self) -> int:
        return int(Note.objects.count())

    async def on_connect(self, connection: Connection) -> None:
        await Note.objects.acount()
        await self.enter_rooms(connection)

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        memberships = Membership.objects.filter(user_id=identity.user_id)
        return {membership.room: None async for membership in memberships}

    @on("become")
    async def become(self, room: str, connection: Connection, broadcaster: Broadcaster) -> None:
        user_id = connection.identity.user_id
        await Membership.objects.aget_or_create(user_id=user_id, room=room)
        await broadcaster.refresh_rooms(user_id)
        await connection.send("rooms", sorted(connection.rooms))

    @on("follow")
    def follow(self, room: str, connection: SyncConnection) -> None:
        """A plain handler with a check that is a coroutine."""

        async def allowed() -> bool:
            self._following.set()
            return bool(await Membership.objects.filter(user_id=connection.identity.user_id).aexists())

        connection.join(room, allowed=allowed)
        connection.send("rooms", sorted(connection.rooms))

    @on("count after follow")
    async def count_after_follow(self, connection: Connection) -> None:
        """Occupies a thread for the database, and waits in another task for one of plain functions."""
        await Note.objects.acount()
        await connection.send("counting")
        await self._following.wait()
        await connection.send("counted", await asyncio.gather(self._count()))


class Messages:
    """The service of a chat, with messages that are pending."""

    def __init__(self) -> None:
        self._left = PENDING

    async def groups_of(self, identity: Identity) -> Sequence[str]:
        return []

    async def save_message(self, identity: Identity, message: ChatMessage) -> SavedMessage:
        return SavedMessage(message)

    async def mark_read(self, identity: Identity, chat_id: str) -> None:
        return None

    async def pending_messages(self, identity: Identity, limit: int) -> list[ChatMessage]:
        await Note.objects.acount()
        numbers = range(PENDING - self._left, PENDING)[:limit]
        return [
            ChatMessage(
                id=str(number),
                from_id="bob",
                to_id=identity.user_id,
                chat_type="single",
                content=f"{number}",
                timestamp=1,
            )
            for number in numbers
        ]

    async def messages_delivered(self, deliveries: Sequence[Delivery]) -> None:
        await Note.objects.acount()
        self._left -= len(deliveries)


GATEWAYS = [
    Members("/members"),
    ChatGateway("/chat", service=Messages()),
]
