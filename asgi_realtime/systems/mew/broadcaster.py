"""Mew's server events as methods, each of which knows its recipients."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from msgspec import UNSET

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.typed_broadcaster import SyncTypedBroadcaster, TypedBroadcaster, sync_too
from asgi_realtime.systems.mew.events import (
    BotConfigUpdate,
    CategoryDelete,
    ChannelDelete,
    PermissionsUpdate,
    ServerMember,
    ServerReference,
    StickerDelete,
)
from asgi_realtime.values.ids import Id, id_text, id_texts
from asgi_realtime.values.publications import Receipt


class MewBroadcaster(TypedBroadcaster):
    """One method per server event of Mew and Infra, each of which knows where its event goes.

    Call them after the database has committed: where an event changes who may see what, the host's
    service is asked again, and rooms change before the next broadcast can leak.
    """

    def __init__(self, broadcaster: Broadcaster, *, infra: str = "/infra") -> None:
        """Wrap a broadcaster that is narrowed to a `MewGateway`. `infra` is where the `InfraGateway` is mounted."""
        super().__init__(broadcaster)
        self._infra = infra

    @property
    def sync(self) -> SyncMewBroadcaster:
        """The same methods for threads: sync routes, workers."""
        return SyncMewBroadcaster(self)

    @sync_too
    async def message_create(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_CREATE` to the channel; in a DM (`recipients`: its users) to their personal rooms instead."""
        return await self._message("MESSAGE_CREATE", channel_id, message, recipients)

    @sync_too
    async def message_update(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_UPDATE` (an edit, a retraction): routed as `message_create`."""
        return await self._message("MESSAGE_UPDATE", channel_id, message, recipients)

    @sync_too
    async def message_reaction_add(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_REACTION_ADD` with the whole message: routed as `message_create`."""
        return await self._message("MESSAGE_REACTION_ADD", channel_id, message, recipients)

    @sync_too
    async def message_reaction_remove(
        self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None
    ) -> Receipt:
        """`MESSAGE_REACTION_REMOVE` with the whole message: routed as `message_create`."""
        return await self._message("MESSAGE_REACTION_REMOVE", channel_id, message, recipients)

    async def _message(self, event: str, channel_id: Id, message: Any, recipients: Collection[Id] | None) -> Receipt:
        # A DM's users are in the DM's room and in their personal rooms: one of the two, or it comes twice.
        if recipients is not None:
            return await self._broadcaster.broadcast_to_users(id_texts(recipients, "recipients"), event, message)
        return await self._broadcaster.broadcast_to_room(id_text(channel_id, "channel_id"), event, message)

    @sync_too
    async def channel_update(self, server_id: Id, channel: Any) -> Receipt:
        """`CHANNEL_UPDATE` to the server."""
        return await self._to_server(server_id, "CHANNEL_UPDATE", channel)

    @sync_too
    async def channel_delete(self, server_id: Id, channel_id: Id) -> Receipt:
        """`CHANNEL_DELETE` to the server. The channel's room is emptied."""
        channel, server = id_text(channel_id, "channel_id"), id_text(server_id, "server_id")
        await self._broadcaster.close_room(channel)
        return await self._broadcaster.broadcast_to_room(server, "CHANNEL_DELETE", ChannelDelete(channel, server))

    @sync_too
    async def category_update(self, server_id: Id, category: Any) -> Receipt:
        """`CATEGORY_UPDATE` to the server."""
        return await self._to_server(server_id, "CATEGORY_UPDATE", category)

    @sync_too
    async def category_delete(self, server_id: Id, category_id: Id) -> Receipt:
        """`CATEGORY_DELETE` to the server."""
        event = CategoryDelete(id_text(category_id, "category_id"))
        return await self._to_server(server_id, "CATEGORY_DELETE", event)

    @sync_too
    async def sticker_create(self, server_id: Id, sticker: Any) -> Receipt:
        """`STICKER_CREATE` to the server."""
        return await self._to_server(server_id, "STICKER_CREATE", sticker)

    @sync_too
    async def sticker_update(self, server_id: Id, sticker: Any) -> Receipt:
        """`STICKER_UPDATE` to the server."""
        return await self._to_server(server_id, "STICKER_UPDATE", sticker)

    @sync_too
    async def sticker_delete(self, server_id: Id, sticker_id: Id) -> Receipt:
        """`STICKER_DELETE` to the server."""
        event = StickerDelete(id_text(sticker_id, "sticker_id"))
        return await self._to_server(server_id, "STICKER_DELETE", event)

    @sync_too
    async def dm_channel_create(self, channel_id: Id, channel: Any, *, recipients: Collection[Id]) -> Receipt:
        """`DM_CHANNEL_CREATE` to those concerned, who enter the channel's room. `channel` carries `recipients`."""
        users, room = id_texts(recipients, "recipients"), id_text(channel_id, "channel_id")
        for user in users:
            await self._broadcaster.add_user_to_room(user, room)
        return await self._broadcaster.broadcast_to_users(users, "DM_CHANNEL_CREATE", channel)

    @sync_too
    async def server_update(self, server_id: Id, server: Any) -> Receipt:
        """`SERVER_UPDATE` to the server."""
        return await self._to_server(server_id, "SERVER_UPDATE", server)

    @sync_too
    async def server_delete(self, server_id: Id) -> Receipt:
        """`SERVER_DELETE` to the server, whose room and channels' rooms are then emptied."""
        server = id_text(server_id, "server_id")
        receipt = await self._broadcaster.broadcast_to_room(server, "SERVER_DELETE", ServerReference(server))
        await self._broadcaster.close_room(server)
        return receipt

    @sync_too
    async def server_kick(self, server_id: Id, user_id: Id) -> Receipt:
        """`SERVER_KICK` to the kicked user alone, who is out of the rooms first; `MEMBER_LEAVE` to those who remain."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._broadcaster.remove_user_from_room(user, server)
        receipt = await self._broadcaster.broadcast_to_user(user, "SERVER_KICK", ServerReference(server))
        await self.member_leave(server, user)
        return receipt

    @sync_too
    async def member_join(self, server_id: Id, user_id: Id) -> Receipt:
        """`MEMBER_JOIN` to the server, the new member included, who enters the rooms first."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._broadcaster.add_user_to_room(user, server)
        await self._broadcaster.refresh_rooms(user)
        return await self._broadcaster.broadcast_to_room(server, "MEMBER_JOIN", ServerMember(server, user))

    @sync_too
    async def member_leave(self, server_id: Id, user_id: Id) -> Receipt:
        """`MEMBER_LEAVE` to those who remain: who leaves is out of the rooms first."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._broadcaster.remove_user_from_room(user, server)
        return await self._broadcaster.broadcast_to_room(server, "MEMBER_LEAVE", ServerMember(server, user))

    @sync_too
    async def permissions_update(
        self, server_id: Id, *, channel_id: Id | None = None, user_id: Id | None = None
    ) -> Receipt:
        """`PERMISSIONS_UPDATE` to the server, or to the one user it concerns. Their rooms are asked for anew first.

        Between this call and the service's answer nothing is written to them.
        """
        server = id_text(server_id, "server_id")
        user = None if user_id is None else id_text(user_id, "user_id")
        event = PermissionsUpdate(
            server_id=server,
            channel_id=UNSET if channel_id is None else id_text(channel_id, "channel_id"),
            user_id=UNSET if user is None else user,
        )
        if user is None:
            await self._broadcaster.refresh_members(server)
            return await self._broadcaster.broadcast_to_room(server, "PERMISSIONS_UPDATE", event)
        await self._broadcaster.refresh_rooms(user)
        return await self._broadcaster.broadcast_to_user(user, "PERMISSIONS_UPDATE", event)

    @sync_too
    async def system_bot_config_update(self, service_type: Id, bot_id: Id) -> Receipt:
        """`SYSTEM_BOT_CONFIG_UPDATE` to the services of that type, on Infra."""
        service, bot = id_text(service_type, "service_type"), id_text(bot_id, "bot_id")
        event = BotConfigUpdate(service, bot)
        return await self._broadcaster.broadcast_to_room(
            service, "SYSTEM_BOT_CONFIG_UPDATE", event, gateway=self._infra
        )

    async def _to_server(self, server_id: Id, event: str, data: Any) -> Receipt:
        return await self._broadcaster.broadcast_to_room(id_text(server_id, "server_id"), event, data)


class SyncMewBroadcaster(SyncTypedBroadcaster, MewBroadcaster):
    """`MewBroadcaster` for threads: its methods return when the event has been sent."""
