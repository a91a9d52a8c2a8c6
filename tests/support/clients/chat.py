# fmt: off
# ruff: noqa
"""Typed client of `ChatGateway`.

Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from asgi_realtime.client import Event, WebSocketClient


class ChatMessage(TypedDict):
    """A message as it is saved and delivered, with all defaults filled in."""

    id: str
    fromId: str
    toId: str
    chatType: Literal["group", "single"]
    content: str
    timestamp: int
    contentType: Literal["image", "text"]
    replyTo: str
    imageUrl: str
    from_name: NotRequired[str]
    from_avatar: NotRequired[str]


class MessageAck(TypedDict):
    """The message with this id was saved."""

    id: str
    status: Literal["success"]


class ErrorMessage(TypedDict):
    """Why an event of the client was refused or failed.

    `messageId` is there if it was a message.
    """

    message: str
    messageId: NotRequired[str]


class Kick(TypedDict):
    """Why the connection is closed."""

    reason: str


class FriendRequest(TypedDict):
    """A user asks another to be friends. `createTime` is in milliseconds since the epoch."""

    id: str
    fromId: str
    fromName: str
    createTime: int


class FriendAccepted(TypedDict):
    """The user who accepted a friend request."""

    friendId: str
    friendName: str


class MessageRevoked(TypedDict):
    """A message that was revoked. Clients no longer show it."""

    messageId: str
    fromId: str
    toId: str
    chatType: Literal["group", "single"]


class GroupMember(TypedDict):
    """A user who is no longer in a group."""

    groupId: str
    userId: str


class GroupDissolved(TypedDict):
    """A group that was dissolved."""

    groupId: str


class GroupTransfer(TypedDict):
    """The new owner of a group."""

    groupId: str
    newOwnerId: str


class GroupMemberMute(TypedDict):
    """A member who was muted in a group, or is no longer muted."""

    groupId: str
    targetUserId: str
    muted: bool


class GroupMemberKick(TypedDict):
    """A user who was removed from a group."""

    groupId: str
    targetUserId: str


class GroupAnnouncement(TypedDict):
    """The new announcement of a group."""

    groupId: str
    announcement: str


class GroupInvite(TypedDict):
    """An invitation to a group."""

    groupId: str
    groupName: str
    inviterName: str


class Authenticated(TypedDict):
    """The user that the client authenticated as."""

    userId: str
    recovery: NotRequired[RecoveryOffer]


class RecoveryOffer(TypedDict):
    """What a client presents to recover after a loss, and whether it has just recovered."""

    id: str
    position: str
    recovered: bool


class Unauthenticated(TypedDict):
    """Why the client was refused. `code` is there if the host's refusal has a code of its own."""

    message: str
    code: NotRequired[str]


class Credentials(TypedDict):
    """What a client presents in `auth`.

    `recovery` is for the first one only. `false` declines recovery.
    """

    recovery: NotRequired[SessionReference | Literal[False]]
    token: str


class SessionReference(TypedDict):
    """What a client presents to recover: the `id` that it was told, and the position of the last
    event it has got.
    """

    id: str
    position: str


class NewChatMessage(TypedDict):
    """A message as a client sends it.

    The client chooses the id, and repeats the message with the same id.
    """

    id: str
    fromId: str
    toId: str
    chatType: Literal["group", "single"]
    content: str
    contentType: NotRequired[Literal["image", "text"]]
    replyTo: NotRequired[str | None]
    imageUrl: NotRequired[str | None]


class Read(TypedDict):
    """The chat that was read: the id of the other user, or of the group."""

    chatId: str


class MessageEvent(Event[ChatMessage]):
    """To `toId` and the sender's other devices; the group except the sending connection."""

    name = "message"


class AckEvent(Event[MessageAck]):
    """To the sender, once the message is saved."""

    name = "ack"


class ErrorEvent(Event[ErrorMessage]):
    """To the client concerned."""

    name = "error"


class KickEvent(Event[Kick]):
    """To a connection that is then closed: its user logged in on another device, for example."""

    name = "kick"


class FriendRequestEvent(Event[FriendRequest]):
    """To the receiver."""

    name = "friend_request"


class FriendAcceptedEvent(Event[FriendAccepted]):
    """To the requester."""

    name = "friend_accepted"


class MessageRevokedEvent(Event[MessageRevoked]):
    """To both sides, or the group."""

    name = "message_revoked"


class GroupMemberQuitEvent(Event[GroupMember]):
    """To the remaining members of the group."""

    name = "group_member_quit"


class GroupDissolvedEvent(Event[GroupDissolved]):
    """To the group, which is then emptied."""

    name = "group_dissolved"


class GroupTransferEvent(Event[GroupTransfer]):
    """To the group."""

    name = "group_transfer"


class GroupMemberMuteEvent(Event[GroupMemberMute]):
    """To the group."""

    name = "group_member_mute"


class GroupMemberKickEvent(Event[GroupMemberKick]):
    """To the removed user only."""

    name = "group_member_kick"


class GroupAnnouncementEvent(Event[GroupAnnouncement]):
    """To the group."""

    name = "group_announcement"


class GroupInviteEvent(Event[GroupInvite]):
    """To the invitee."""

    name = "group_invite"


class AuthSuccessEvent(Event[Authenticated]):
    """To the client that authenticated."""

    name = "auth_success"


class AuthErrorEvent(Event[Unauthenticated]):
    """To the client whose token is not valid, before it is closed with 1008."""

    name = "auth_error"


class PongEvent(Event[None]):
    """To the client that sent `ping`."""

    name = "pong"


ServerEvent: TypeAlias = (
    MessageEvent
    | AckEvent
    | ErrorEvent
    | KickEvent
    | FriendRequestEvent
    | FriendAcceptedEvent
    | MessageRevokedEvent
    | GroupMemberQuitEvent
    | GroupDissolvedEvent
    | GroupTransferEvent
    | GroupMemberMuteEvent
    | GroupMemberKickEvent
    | GroupAnnouncementEvent
    | GroupInviteEvent
    | AuthSuccessEvent
    | AuthErrorEvent
    | PongEvent
)


class ChatClient(WebSocketClient[ServerEvent]):
    """A client of `ChatGateway`.

    Instant messages between users and in groups. The service saves a message before it is
    delivered.
    """

    path = "/chat"
    token_place = "auth"
    accepted = "auth_success"
    events = (
        MessageEvent,
        AckEvent,
        ErrorEvent,
        KickEvent,
        FriendRequestEvent,
        FriendAcceptedEvent,
        MessageRevokedEvent,
        GroupMemberQuitEvent,
        GroupDissolvedEvent,
        GroupTransferEvent,
        GroupMemberMuteEvent,
        GroupMemberKickEvent,
        GroupAnnouncementEvent,
        GroupInviteEvent,
        AuthSuccessEvent,
        AuthErrorEvent,
        PongEvent,
    )

    async def auth(self, payload: Credentials) -> None:
        """Authenticates, or replaces the token; answered with `auth_success`."""
        await self._send("auth", payload)

    async def ping(self) -> None:
        """Answered with `pong`."""
        await self._send("ping")

    async def message(self, payload: NewChatMessage) -> None:
        """Check the message, let the host save it, deliver it, and acknowledge it with `ack`."""
        await self._send("message", payload)

    async def read(self, payload: Read) -> None:
        """Let the host mark the chat as read."""
        await self._send("read", payload)
