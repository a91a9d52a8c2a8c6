"""The server events of Events as methods, and broadcasts of events of the host."""

from __future__ import annotations

from typing import Any

from msgspec import UNSET

from asgi_realtime.broadcasting.typed_broadcaster import SyncTypedBroadcaster, TypedBroadcaster, sync_too
from asgi_realtime.runtime import time_source
from asgi_realtime.systems.events.events import Message, RoomMember
from asgi_realtime.values.ids import Id, id_text
from asgi_realtime.values.publications import Receipt
from asgi_realtime.values.timestamps import iso


class EventsBroadcaster(TypedBroadcaster):
    """Sends the events of Events, and events of the host. The methods raise what `Broadcaster` raises."""

    @property
    def sync(self) -> SyncEventsBroadcaster:
        """The same methods for threads."""
        return SyncEventsBroadcaster(self)

    @sync_too
    async def position(self, room: Id) -> str:
        """The position that a client passes to `join`. Get it before you read the data of the room."""
        return await self._broadcaster.position(room)

    @sync_too
    async def broadcast_to_room(self, room: Id, event: str, data: Any = UNSET) -> Receipt:
        """Send an event of the host to a room."""
        return await self._broadcaster.broadcast_to_room(room, event, data)

    @sync_too
    async def broadcast_to_all(self, event: str, data: Any = UNSET) -> Receipt:
        """Send an event of the host to all clients."""
        return await self._broadcaster.broadcast_to_all(event, data)

    @sync_too
    async def close_room(self, room: Id) -> None:
        """Take all clients out of a room. No event is sent."""
        await self._broadcaster.close_room(room)

    @sync_too
    async def message(self, sender_id: Id, content: str, *, room: Id | None = None) -> Receipt:
        """`message`, with the current time, to the room or to all clients. Length and content are not checked."""
        message = Message(id_text(sender_id, "sender_id"), content, iso(time_source.wall()))
        if room is None:
            return await self._broadcaster.broadcast_to_all("message", message)
        return await self._broadcaster.broadcast_to_room(room, "message", message)

    @sync_too
    async def user_joined(self, user_id: Id, room: Id) -> Receipt:
        """Send `user:joined` to the room, and put the user's connections into it."""
        member = RoomMember(id_text(user_id, "user_id"), id_text(room, "room"))
        receipt = await self._broadcaster.broadcast_to_room(member.room, "user:joined", member)
        await self._broadcaster.add_user_to_room(member.user_id, member.room)
        return receipt

    @sync_too
    async def user_left(self, user_id: Id, room: Id) -> Receipt:
        """Take the user's connections out of a room, and send it `user:left`."""
        member = RoomMember(id_text(user_id, "user_id"), id_text(room, "room"))
        await self._broadcaster.remove_user_from_room(member.user_id, member.room)
        return await self._broadcaster.broadcast_to_room(member.room, "user:left", member)


class SyncEventsBroadcaster(SyncTypedBroadcaster, EventsBroadcaster):
    """`EventsBroadcaster` for threads: a method returns when its event was sent."""
