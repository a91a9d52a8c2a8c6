"""The server events of Mew and Infra as methods. Each sends its event to the right recipients."""

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
    """One method per server event of Mew and Infra. Each sends its event to the right recipients.

    Call them after the database has committed. An event that changes what users may see also changes their
    rooms, on every process, before later broadcasts are delivered. `MewService.rooms_of` is called for that.
    The methods raise what `Broadcaster` raises.
    """

    def __init__(self, broadcaster: Broadcaster, *, infra: str = "/infra") -> None:
        """Wrap a broadcaster that is narrowed to a `MewGateway`. `infra` is the namespace of the `InfraGateway`."""
        super().__init__(broadcaster)
        self._infra = infra

    @property
    def sync(self) -> SyncMewBroadcaster:
        """The same methods for threads."""
        return SyncMewBroadcaster(self)

    @sync_too
    async def position(self, channel_id: Id) -> str:
        """The position that a client passes to `channel/follow`. Get it before you read the channel's messages."""
        return await self._broadcaster.position(id_text(channel_id, "channel_id"))

    @sync_too
    async def message_create(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_CREATE` to the channel; in a DM, whose users are `recipients`, to their personal rooms instead."""
        return await self._message("MESSAGE_CREATE", channel_id, message, recipients)

    @sync_too
    async def message_update(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_UPDATE` (an edit, a retraction), to the recipients of `message_create`."""
        return await self._message("MESSAGE_UPDATE", channel_id, message, recipients)

    @sync_too
    async def message_reaction_add(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_REACTION_ADD` with the whole message, to the recipients of `message_create`."""
        return await self._message("MESSAGE_REACTION_ADD", channel_id, message, recipients)

    @sync_too
    async def message_reaction_remove(
        self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None
    ) -> Receipt:
        """`MESSAGE_REACTION_REMOVE` with the whole message, to the recipients of `message_create`."""
        return await self._message("MESSAGE_REACTION_REMOVE", channel_id, message, recipients)

    async def _message(self, event: str, channel_id: Id, message: Any, recipients: Collection[Id] | None) -> Receipt:
        # The users of a DM are in its room and in their personal rooms. Sent to both, the event would arrive twice.
        if recipients is not None:
            return await self._broadcaster.broadcast_to_users(id_texts(recipients, "recipients"), event, message)
        return await self._broadcaster.broadcast_to_room(id_text(channel_id, "channel_id"), event, message)

    @sync_too
    async def channel_update(self, server_id: Id, channel: Any) -> Receipt:
        """`CHANNEL_UPDATE` to the server."""
        return await self._to_server(server_id, "CHANNEL_UPDATE", channel)

    @sync_too
    async def channel_delete(self, server_id: Id, channel_id: Id) -> Receipt:
        """Empty the channel's room, and send `CHANNEL_DELETE` to the server."""
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
        """Put the recipients into the channel's room, and send them `DM_CHANNEL_CREATE`.

        `channel` is the host's channel, with its `recipients`.
        """
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
        """Send `SERVER_DELETE` to the server, and empty its room and its channels' rooms."""
        server = id_text(server_id, "server_id")
        receipt = await self._broadcaster.broadcast_to_room(server, "SERVER_DELETE", ServerReference(server))
        await self._broadcaster.close_room(server)
        return receipt

    @sync_too
    async def server_kick(self, server_id: Id, user_id: Id) -> Receipt:
        """Take the user out of the server's rooms, send the user `SERVER_KICK`, and the others `MEMBER_LEAVE`."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._broadcaster.remove_user_from_room(user, server)
        receipt = await self._broadcaster.broadcast_to_user(user, "SERVER_KICK", ServerReference(server))
        await self.member_leave(server, user)
        return receipt

    @sync_too
    async def member_join(self, server_id: Id, user_id: Id) -> Receipt:
        """Put the user into the server's rooms, and send `MEMBER_JOIN` to the server, the new member included."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._broadcaster.add_user_to_room(user, server)
        await self._broadcaster.refresh_rooms(user)
        return await self._broadcaster.broadcast_to_room(server, "MEMBER_JOIN", ServerMember(server, user))

    @sync_too
    async def member_leave(self, server_id: Id, user_id: Id) -> Receipt:
        """Take the user out of the server's rooms, and send `MEMBER_LEAVE` to the remaining members."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._broadcaster.remove_user_from_room(user, server)
        return await self._broadcaster.broadcast_to_room(server, "MEMBER_LEAVE", ServerMember(server, user))

    @sync_too
    async def permissions_update(
        self, server_id: Id, *, channel_id: Id | None = None, user_id: Id | None = None
    ) -> Receipt:
        """Get the rooms of the server's members, or of one user, from the service again; then `PERMISSIONS_UPDATE`.

        With `user_id`, only that user's personal room gets the event. Nothing is written to the users concerned
        until the service has answered.
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
    """`MewBroadcaster` for threads: a method returns when its event was sent."""
