"""Events' server events as methods."""

from __future__ import annotations

import time
from typing import Any

from msgspec import UNSET

from asgi_realtime.broadcasting.typed_broadcaster import SyncTypedBroadcaster, TypedBroadcaster, sync_too
from asgi_realtime.systems.events.events import Message, RoomMember
from asgi_realtime.values.ids import Id, id_text
from asgi_realtime.values.publications import Receipt
from asgi_realtime.values.timestamps import iso


class EventsBroadcaster(TypedBroadcaster):
    """What a host sends on Events: its own events, and those that clients know from each other."""

    @property
    def sync(self) -> SyncEventsBroadcaster:
        """The same methods for threads: sync routes, workers."""
        return SyncEventsBroadcaster(self)

    @sync_too
    async def broadcast_to_room(self, room: Id, event: str, data: Any = UNSET) -> Receipt:
        """An event of the host's own to everybody in a room."""
        return await self._broadcaster.broadcast_to_room(room, event, data)

    @sync_too
    async def broadcast_to_all(self, event: str, data: Any = UNSET) -> Receipt:
        """An event of the host's own to everybody: an announcement, say."""
        return await self._broadcaster.broadcast_to_all(event, data)

    @sync_too
    async def close_room(self, room: Id) -> None:
        """Take everybody out of a room. Nobody is told."""
        await self._broadcaster.close_room(room)

    @sync_too
    async def message(self, sender_id: Id, content: str, *, room: Id | None = None) -> Receipt:
        """`message` to the room, or to everybody, with the time of now. Neither length nor content is checked."""
        message = Message(id_text(sender_id, "sender_id"), content, iso(time.time()))
        if room is None:
            return await self._broadcaster.broadcast_to_all("message", message)
        return await self._broadcaster.broadcast_to_room(room, "message", message)

    @sync_too
    async def user_joined(self, user_id: Id, room: Id) -> Receipt:
        """Put a user's connections into a room; `user:joined` to those who were in it before."""
        member = RoomMember(id_text(user_id, "user_id"), id_text(room, "room"))
        receipt = await self._broadcaster.broadcast_to_room(member.room, "user:joined", member)
        await self._broadcaster.add_user_to_room(member.user_id, member.room)
        return receipt

    @sync_too
    async def user_left(self, user_id: Id, room: Id) -> Receipt:
        """Take a user's connections out of a room (they lost access, say); `user:left` to those who remain."""
        member = RoomMember(id_text(user_id, "user_id"), id_text(room, "room"))
        await self._broadcaster.remove_user_from_room(member.user_id, member.room)
        return await self._broadcaster.broadcast_to_room(member.room, "user:left", member)


class SyncEventsBroadcaster(SyncTypedBroadcaster, EventsBroadcaster):
    """`EventsBroadcaster` for threads: its methods return when the event has been sent."""
