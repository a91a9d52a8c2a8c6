"""The events of Chat with the types of their payloads: the tables of docs/reference/protocols.md, section 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from asgi_realtime.handlers.event_declarations import down
from asgi_realtime.values.ids import Id, id_from_host

ChatType: TypeAlias = Literal["single", "group"]
"""Between two users, or in a group."""


class NewChatMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message as a client sends it. The client chooses the id, and repeats the message with the same id."""

    id: str
    from_id: str
    to_id: str
    chat_type: ChatType
    content: str
    content_type: Literal["text", "image"] = "text"
    reply_to: str | None = None
    image_url: str | None = None


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message as it is saved and delivered, with all defaults filled in.

    `to_id` is a user (`single`) or a group. `timestamp` is the server's time, in milliseconds since the epoch.
    The host sets `from_name` and `from_avatar` in groups. Ids given as numbers or UUIDs become text.
    """

    id: str
    from_id: str
    to_id: str
    chat_type: ChatType
    content: str
    timestamp: int
    content_type: Literal["text", "image"] = "text"
    reply_to: str = ""
    image_url: str = ""
    from_name: str | UnsetType = msgspec.field(default=UNSET, name="from_name")
    from_avatar: str | UnsetType = msgspec.field(default=UNSET, name="from_avatar")

    if TYPE_CHECKING:  # at run time `msgspec` makes it

        def __init__(
            self,
            *,
            id: Id,
            from_id: Id,
            to_id: Id,
            chat_type: ChatType,
            content: str,
            timestamp: int,
            content_type: Literal["text", "image"] = "text",
            reply_to: Id = "",
            image_url: str = "",
            from_name: str | UnsetType = UNSET,
            from_avatar: str | UnsetType = UNSET,
        ) -> None: ...

    def __post_init__(self) -> None:
        for field in ("id", "from_id", "to_id", "reply_to"):
            value = getattr(self, field)
            is_missing = not value and field != "reply_to"
            if type(value) is not str or not value.isascii() or is_missing:
                msgspec.structs.force_setattr(self, field, id_from_host(value, field))


class Read(msgspec.Struct, frozen=True, rename="camel"):
    """The chat that was read: the id of the other user, or of the group."""

    chat_id: str


class MessageAck(msgspec.Struct, frozen=True):
    """The message with this id was saved."""

    id: str
    status: Literal["success"] = "success"


class ErrorMessage(msgspec.Struct, frozen=True, rename="camel"):
    """Why an event of the client was refused or failed. `messageId` is there if it was a message."""

    message: str
    message_id: str | UnsetType = UNSET


class Kick(msgspec.Struct, frozen=True):
    """Why the connection is closed."""

    reason: str


class FriendRequest(msgspec.Struct, frozen=True, rename="camel"):
    """A user asks another to be friends. `createTime` is in milliseconds since the epoch."""

    id: str
    from_id: str
    from_name: str
    create_time: int


class FriendAccepted(msgspec.Struct, frozen=True, rename="camel"):
    """The user who accepted a friend request."""

    friend_id: str
    friend_name: str


class MessageRevoked(msgspec.Struct, frozen=True, rename="camel"):
    """A message that was revoked. Clients no longer show it."""

    message_id: str
    from_id: str
    to_id: str
    chat_type: ChatType


class GroupMember(msgspec.Struct, frozen=True, rename="camel"):
    """A user who is no longer in a group."""

    group_id: str
    user_id: str


class GroupDissolved(msgspec.Struct, frozen=True, rename="camel"):
    """A group that was dissolved."""

    group_id: str


class GroupTransfer(msgspec.Struct, frozen=True, rename="camel"):
    """The new owner of a group."""

    group_id: str
    new_owner_id: str


class GroupMemberMute(msgspec.Struct, frozen=True, rename="camel"):
    """A member who was muted in a group, or is no longer muted."""

    group_id: str
    target_user_id: str
    muted: bool


class GroupMemberKick(msgspec.Struct, frozen=True, rename="camel"):
    """A user who was removed from a group."""

    group_id: str
    target_user_id: str


class GroupAnnouncement(msgspec.Struct, frozen=True, rename="camel"):
    """The new announcement of a group."""

    group_id: str
    announcement: str


class GroupInvite(msgspec.Struct, frozen=True, rename="camel"):
    """An invitation to a group."""

    group_id: str
    group_name: str
    inviter_name: str


_GROUP = "the group"

CHAT_EVENTS = (
    down("message", ChatMessage, to="`toId` and the sender's other devices; the group except the sending connection"),
    down("ack", MessageAck, to="the sender, once the message is saved"),
    down("error", ErrorMessage, to="the client concerned"),
    down("kick", Kick, to="a connection that is then closed: its user logged in on another device, for example"),
    down("friend_request", FriendRequest, to="the receiver"),
    down("friend_accepted", FriendAccepted, to="the requester"),
    down("message_revoked", MessageRevoked, to="both sides, or the group"),
    down("group_member_quit", GroupMember, to="the remaining members of the group"),
    down("group_dissolved", GroupDissolved, to="the group, which is then emptied"),
    down("group_transfer", GroupTransfer, to=_GROUP),
    down("group_member_mute", GroupMemberMute, to=_GROUP),
    down("group_member_kick", GroupMemberKick, to="the removed user only"),
    down("group_announcement", GroupAnnouncement, to=_GROUP),
    down("group_invite", GroupInvite, to="the invitee"),
)
