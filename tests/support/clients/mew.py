# fmt: off
# ruff: noqa
"""Typed client of `MewGateway`.

Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypeAlias, TypedDict

from asgi_realtime.client import Event, SocketIOClient


# Objects of the application. `--host-type` imports their types.
Category: TypeAlias = Any
Channel: TypeAlias = Any
DMChannel: TypeAlias = Any
Message: TypeAlias = Any
Server: TypeAlias = Any
Sticker: TypeAlias = Any


class ChannelDelete(TypedDict):
    """A channel was deleted."""

    channelId: str
    serverId: str


class CategoryDelete(TypedDict):
    """A category was deleted. Its channels remain."""

    categoryId: str


class StickerDelete(TypedDict):
    """A sticker was deleted."""

    stickerId: str


class ServerReference(TypedDict):
    """A server that was deleted, or that the user was removed from."""

    serverId: str


class ServerMember(TypedDict):
    """A user who joined or left a server."""

    serverId: str
    userId: str


class PermissionsUpdate(TypedDict):
    """Roles, members' roles or a channel's overrides changed.

    Clients fetch again what they may see.
    """

    serverId: str
    channelId: NotRequired[str]
    userId: NotRequired[str]


class PresenceUpdate(TypedDict):
    """A user came online, or the last connection ended and the grace period passed."""

    userId: str
    status: Literal["offline", "online"]


class ErrorMessage(TypedDict):
    """Why an event of the client was refused or failed.

    There is no code if a message could not be created.
    """

    message: str
    code: NotRequired[str]


class NewToken(TypedDict):
    """The token that replaces a client's token."""

    token: str


class Success(TypedDict):
    """An acknowledgement: the event was handled."""

    success: Literal[True]


class Failure(TypedDict):
    """An acknowledgement: the event was refused or failed.

    `message` is for people, `code` for programs.
    """

    success: Literal[False]
    code: str
    message: str


class MessageCreate(TypedDict):
    """What a client sends with `message/create`.

    Only the types are checked; the service checks the rest.
    """

    channelId: str
    content: NotRequired[str | None]
    attachments: NotRequired[list[Any] | None]
    referencedMessageId: NotRequired[str | None]
    type: NotRequired[str | None]
    payload: NotRequired[dict[str, Any] | None]
    plainText: NotRequired[str | None]


class ChannelFollow(TypedDict):
    """What a client sends with `channel/follow`.

    The position is that of its snapshot of the channel's messages.
    """

    channelId: str
    position: str


class MessageCreateEvent(Event[Message]):
    """To the channel's room; in a DM its recipients' personal rooms instead."""

    name = "MESSAGE_CREATE"


class MessageUpdateEvent(Event[Message]):
    """To the channel's room; in a DM its recipients' personal rooms instead."""

    name = "MESSAGE_UPDATE"


class MessageReactionAddEvent(Event[Message]):
    """To the channel's room; in a DM its recipients' personal rooms instead."""

    name = "MESSAGE_REACTION_ADD"


class MessageReactionRemoveEvent(Event[Message]):
    """To the channel's room; in a DM its recipients' personal rooms instead."""

    name = "MESSAGE_REACTION_REMOVE"


class ChannelUpdateEvent(Event[Channel]):
    """To the server's room."""

    name = "CHANNEL_UPDATE"


class ChannelDeleteEvent(Event[ChannelDelete]):
    """To the server's room."""

    name = "CHANNEL_DELETE"


class CategoryUpdateEvent(Event[Category]):
    """To the server's room."""

    name = "CATEGORY_UPDATE"


class CategoryDeleteEvent(Event[CategoryDelete]):
    """To the server's room."""

    name = "CATEGORY_DELETE"


class StickerCreateEvent(Event[Sticker]):
    """To the server's room."""

    name = "STICKER_CREATE"


class StickerUpdateEvent(Event[Sticker]):
    """To the server's room."""

    name = "STICKER_UPDATE"


class StickerDeleteEvent(Event[StickerDelete]):
    """To the server's room."""

    name = "STICKER_DELETE"


class DmChannelCreateEvent(Event[DMChannel]):
    """To the personal rooms of those concerned."""

    name = "DM_CHANNEL_CREATE"


class ServerUpdateEvent(Event[Server]):
    """To the server's room."""

    name = "SERVER_UPDATE"


class ServerDeleteEvent(Event[ServerReference]):
    """To the server's room."""

    name = "SERVER_DELETE"


class ServerKickEvent(Event[ServerReference]):
    """To the personal room of the kicked user only."""

    name = "SERVER_KICK"


class MemberJoinEvent(Event[ServerMember]):
    """To the server's room."""

    name = "MEMBER_JOIN"


class MemberLeaveEvent(Event[ServerMember]):
    """To those who remain in the server's room."""

    name = "MEMBER_LEAVE"


class PermissionsUpdateEvent(Event[PermissionsUpdate]):
    """To the server's room, or the personal room of the one user it concerns."""

    name = "PERMISSIONS_UPDATE"


class PresenceInitialStateEvent(Event[list[str]]):
    """To the new socket."""

    name = "PRESENCE_INITIAL_STATE"


class PresenceUpdateEvent(Event[PresenceUpdate]):
    """To all other users."""

    name = "PRESENCE_UPDATE"


class ReadyEvent(Event[None]):
    """To the new socket."""

    name = "ready"


class ErrorEvent(Event[ErrorMessage]):
    """To the socket concerned."""

    name = "error"


ServerEvent: TypeAlias = (
    MessageCreateEvent
    | MessageUpdateEvent
    | MessageReactionAddEvent
    | MessageReactionRemoveEvent
    | ChannelUpdateEvent
    | ChannelDeleteEvent
    | CategoryUpdateEvent
    | CategoryDeleteEvent
    | StickerCreateEvent
    | StickerUpdateEvent
    | StickerDeleteEvent
    | DmChannelCreateEvent
    | ServerUpdateEvent
    | ServerDeleteEvent
    | ServerKickEvent
    | MemberJoinEvent
    | MemberLeaveEvent
    | PermissionsUpdateEvent
    | PresenceInitialStateEvent
    | PresenceUpdateEvent
    | ReadyEvent
    | ErrorEvent
)


class MewClient(SocketIOClient[ServerEvent]):
    """A client of `MewGateway`.

    The user-facing namespace. Token: `auth.token`, else the cookie `mew_access_token`, else a
    bearer header.
    """

    namespace = "/"
    events = (
        MessageCreateEvent,
        MessageUpdateEvent,
        MessageReactionAddEvent,
        MessageReactionRemoveEvent,
        ChannelUpdateEvent,
        ChannelDeleteEvent,
        CategoryUpdateEvent,
        CategoryDeleteEvent,
        StickerCreateEvent,
        StickerUpdateEvent,
        StickerDeleteEvent,
        DmChannelCreateEvent,
        ServerUpdateEvent,
        ServerDeleteEvent,
        ServerKickEvent,
        MemberJoinEvent,
        MemberLeaveEvent,
        PermissionsUpdateEvent,
        PresenceInitialStateEvent,
        PresenceUpdateEvent,
        ReadyEvent,
        ErrorEvent,
    )

    async def auth_refresh(self, payload: NewToken, *, timeout: float = 10.0) -> Success:
        """Replace the token of a live connection. The new token must be of the same user."""
        answer: Success = await self._call("auth/refresh", payload, timeout=timeout)
        return answer

    async def message_create(self, payload: MessageCreate) -> None:
        """Pass the message to the host. The result arrives as `MESSAGE_CREATE`."""
        await self._send("message/create", payload)

    async def channel_follow(self, payload: ChannelFollow, *, timeout: float = 10.0) -> Success:
        """Send the events of a server's channel after the position, before later ones."""
        answer: Success = await self._call("channel/follow", payload, timeout=timeout)
        return answer
