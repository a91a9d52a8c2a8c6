"""The server events of Chat as methods. Each sends its event to the right recipients."""

from __future__ import annotations

from collections.abc import Collection

from asgi_realtime.broadcasting.typed_broadcaster import SyncTypedBroadcaster, TypedBroadcaster, sync_too
from asgi_realtime.systems.chat.events import (
    ChatMessage,
    ChatType,
    FriendAccepted,
    FriendRequest,
    GroupAnnouncement,
    GroupDissolved,
    GroupInvite,
    GroupMember,
    GroupMemberKick,
    GroupMemberMute,
    GroupTransfer,
    Kick,
    MessageRevoked,
)
from asgi_realtime.values.ids import Id, id_text, id_texts
from asgi_realtime.values.publications import Receipt

OTHER_DEVICE = "您的账号在其他设备登录"
"""In English: your account has logged in on another device."""


class ChatBroadcaster(TypedBroadcaster):
    """One method per server event of Chat. Those that change a group's members also change who gets its events.

    Call them after the database has committed. The methods raise what `Broadcaster` raises.
    """

    @property
    def sync(self) -> SyncChatBroadcaster:
        """The same methods for threads."""
        return SyncChatBroadcaster(self)

    @sync_too
    async def kick(self, user_id: Id, reason: str = OTHER_DEVICE) -> None:
        """Send `kick` to every connection of a user, and close them."""
        await self._broadcaster.broadcast_to_user(user_id, "kick", Kick(reason))
        await self._broadcaster.disconnect_user(user_id, code=1008, reason="kicked", gateway=self._broadcaster.gateway)

    @sync_too
    async def message(
        self, message: ChatMessage, *, owed: Collection[Id] | None = None, except_: Id | tuple[Id, ...] = ()
    ) -> Receipt:
        """`message`: `single` to `to_id` and the sender's devices, `group` to the group.

        `owed` are the users who have not received it yet. None: all of them. `except_` is the sending connection.
        Repeated calls with the same sender and id deliver the message once.
        """
        # With the length, no two pairs of a user's id and a message's id give the same key.
        key = f"message {len(message.from_id)} {message.from_id} {message.id}"
        if owed is not None:
            return await self._broadcaster.broadcast_to_users(
                id_texts(owed, "owed"), "message", message, except_=except_, key=key
            )
        if message.chat_type == "group":
            return await self._broadcaster.broadcast_to_room(
                message.to_id, "message", message, except_=except_, key=key
            )
        sides = (message.to_id, message.from_id)
        return await self._broadcaster.broadcast_to_users(sides, "message", message, except_=except_, key=key)

    @sync_too
    async def friend_request(
        self, user_id: Id, *, request_id: Id, from_id: Id, from_name: str, create_time: int
    ) -> Receipt:
        """`friend_request` to its receiver, `user_id`. `create_time` is in milliseconds since the epoch."""
        event = FriendRequest(id_text(request_id, "request_id"), id_text(from_id, "from_id"), from_name, create_time)
        return await self._broadcaster.broadcast_to_user(user_id, "friend_request", event)

    @sync_too
    async def friend_accepted(self, user_id: Id, *, friend_id: Id, friend_name: str) -> Receipt:
        """`friend_accepted` to the requester, `user_id`. `friend_id` is the user who accepted."""
        return await self._broadcaster.broadcast_to_user(
            user_id, "friend_accepted", FriendAccepted(id_text(friend_id, "friend_id"), friend_name)
        )

    @sync_too
    async def message_revoked(self, message_id: Id, *, from_id: Id, to_id: Id, chat_type: ChatType) -> Receipt:
        """`message_revoked` to both sides, or to the group."""
        event = MessageRevoked(
            id_text(message_id, "message_id"), id_text(from_id, "from_id"), id_text(to_id, "to_id"), chat_type
        )
        if chat_type == "group":
            return await self._broadcaster.broadcast_to_room(event.to_id, "message_revoked", event)
        return await self._broadcaster.broadcast_to_users((event.to_id, event.from_id), "message_revoked", event)

    @sync_too
    async def group_member_join(self, group_id: Id, user_id: Id) -> None:
        """Add a member, who gets the group's events from now on. No event is sent."""
        group, user = _ids(group_id, user_id)
        await self._broadcaster.add_user_to_room(user, group)

    @sync_too
    async def group_member_quit(self, group_id: Id, user_id: Id) -> Receipt:
        """Remove a member, and send `group_member_quit` to the remaining members."""
        group, user = _ids(group_id, user_id)
        await self._broadcaster.remove_user_from_room(user, group)
        return await self._broadcaster.broadcast_to_room(group, "group_member_quit", GroupMember(group, user))

    @sync_too
    async def group_dissolved(self, group_id: Id) -> Receipt:
        """Send `group_dissolved` to the group, and empty it."""
        group = id_text(group_id, "group_id")
        receipt = await self._broadcaster.broadcast_to_room(group, "group_dissolved", GroupDissolved(group))
        await self._broadcaster.close_room(group)
        return receipt

    @sync_too
    async def group_transfer(self, group_id: Id, new_owner_id: Id) -> Receipt:
        """`group_transfer` to the group."""
        event = GroupTransfer(id_text(group_id, "group_id"), id_text(new_owner_id, "new_owner_id"))
        return await self._broadcaster.broadcast_to_room(event.group_id, "group_transfer", event)

    @sync_too
    async def group_member_mute(self, group_id: Id, user_id: Id, *, muted: bool) -> Receipt:
        """`group_member_mute` to the group."""
        group, user = _ids(group_id, user_id)
        return await self._broadcaster.broadcast_to_room(
            group, "group_member_mute", GroupMemberMute(group, user, muted)
        )

    @sync_too
    async def group_member_kick(self, group_id: Id, user_id: Id) -> Receipt:
        """Remove a member, send the user `group_member_kick`, and the remaining members `group_member_quit`."""
        group, user = _ids(group_id, user_id)
        await self._broadcaster.remove_user_from_room(user, group)
        receipt = await self._broadcaster.broadcast_to_user(user, "group_member_kick", GroupMemberKick(group, user))
        await self._broadcaster.broadcast_to_room(group, "group_member_quit", GroupMember(group, user))
        return receipt

    @sync_too
    async def group_announcement(self, group_id: Id, announcement: str) -> Receipt:
        """`group_announcement` to the group."""
        event = GroupAnnouncement(id_text(group_id, "group_id"), announcement)
        return await self._broadcaster.broadcast_to_room(event.group_id, "group_announcement", event)

    @sync_too
    async def group_invite(self, user_id: Id, *, group_id: Id, group_name: str, inviter_name: str) -> Receipt:
        """`group_invite` to the invitee."""
        return await self._broadcaster.broadcast_to_user(
            user_id, "group_invite", GroupInvite(id_text(group_id, "group_id"), group_name, inviter_name)
        )


class SyncChatBroadcaster(SyncTypedBroadcaster, ChatBroadcaster):
    """`ChatBroadcaster` for threads: a method returns when its event was sent."""


def _ids(group_id: Id, user_id: Id) -> tuple[str, str]:
    return id_text(group_id, "group_id"), id_text(user_id, "user_id")
