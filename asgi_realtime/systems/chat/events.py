"""What Chat's clients and server send: the tables of PROTOCOLS.md, section 3, with the types of their payloads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

from asgi_realtime.handlers.event_declarations import down
from asgi_realtime.values.ids import Id, put_texts

ChatType: TypeAlias = Literal["single", "group"]
"""Between two users, or in a group."""


class NewChatMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message as its sender's client sends it. The id is the client's own, and the same for every repetition."""

    id: str
    from_id: str
    to_id: str
    chat_type: ChatType
    content: str
    content_type: Literal["text", "image"] = "text"
    reply_to: str | None = None
    image_url: str | None = None


class ChatMessage(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A message as it is saved and delivered: with every default filled in.

    Ids given as numbers or UUIDs become text.
    `to_id` is a user (`single`) or a group. `timestamp` is in milliseconds since the epoch, by the
    server's clock. `from_name` and `from_avatar` are for groups, where the host fills them in.
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
        put_texts(self, "id", "from_id", "to_id")
        if self.reply_to != "":
            put_texts(self, "reply_to")


class Read(msgspec.Struct, frozen=True, rename="camel"):
    """Which chat was read: the other user's id, or the group's."""

    chat_id: str


class MessageAck(msgspec.Struct, frozen=True):
    """The message with this id has been saved."""

    id: str
    status: Literal["success"] = "success"


class ErrorMessage(msgspec.Struct, frozen=True, rename="camel"):
    """What went wrong, for people; and with which message, where it was one."""

    message: str
    message_id: str | UnsetType = UNSET


class Kick(msgspec.Struct, frozen=True):
    """Why the connection is closed."""

    reason: str


class FriendRequest(msgspec.Struct, frozen=True, rename="camel"):
    """Somebody wants to be a friend. `create_time` is in milliseconds since the epoch."""

    id: str
    from_id: str
    from_name: str
    create_time: int


class FriendAccepted(msgspec.Struct, frozen=True, rename="camel"):
    """Who has accepted."""

    friend_id: str
    friend_name: str


class MessageRevoked(msgspec.Struct, frozen=True, rename="camel"):
    """A message to be taken off the screen."""

    message_id: str
    from_id: str
    to_id: str
    chat_type: ChatType


class GroupMember(msgspec.Struct, frozen=True, rename="camel"):
    """Who is no longer in which group."""

    group_id: str
    user_id: str


class GroupDissolved(msgspec.Struct, frozen=True, rename="camel"):
    """A group that is no more."""

    group_id: str


class GroupTransfer(msgspec.Struct, frozen=True, rename="camel"):
    """Whom the group belongs to now."""

    group_id: str
    new_owner_id: str


class GroupMemberMute(msgspec.Struct, frozen=True, rename="camel"):
    """Who may no longer speak in the group, or may again."""

    group_id: str
    target_user_id: str
    muted: bool


class GroupMemberKick(msgspec.Struct, frozen=True, rename="camel"):
    """Who was put out of the group."""

    group_id: str
    target_user_id: str


class GroupAnnouncement(msgspec.Struct, frozen=True, rename="camel"):
    """What the group's board says now."""

    group_id: str
    announcement: str


class GroupInvite(msgspec.Struct, frozen=True, rename="camel"):
    """Into which group somebody is invited, and by whom."""

    group_id: str
    group_name: str
    inviter_name: str


_GROUP = "the group"

CHAT_EVENTS = (
    down("message", ChatMessage, to="`toId` and the sender's other devices; the group but the sending connection"),
    down("ack", MessageAck, to="the sender, once the message is saved"),
    down("error", ErrorMessage, to="the client concerned"),
    down("kick", Kick, to="a connection that is closed, because its user came in on another device, say"),
    down("friend_request", FriendRequest, to="the receiver"),
    down("friend_accepted", FriendAccepted, to="the requester"),
    down("message_revoked", MessageRevoked, to="both sides, or the group"),
    down("group_member_quit", GroupMember, to="those who remain in the group"),
    down("group_dissolved", GroupDissolved, to="the group, which is then emptied"),
    down("group_transfer", GroupTransfer, to=_GROUP),
    down("group_member_mute", GroupMemberMute, to=_GROUP),
    down("group_member_kick", GroupMemberKick, to="the user put out only"),
    down("group_announcement", GroupAnnouncement, to=_GROUP),
    down("group_invite", GroupInvite, to="the invitee"),
)
