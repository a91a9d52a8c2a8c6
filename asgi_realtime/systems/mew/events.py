"""What Mew and Infra send: the tables of docs/reference/protocols.md, section 1, with the types of their payloads."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from asgi_realtime.handlers.event_declarations import EventDeclaration, down

# Objects of the host. Client types leave them to the application.
Message = TypeVar("Message")
Channel = TypeVar("Channel")
DMChannel = TypeVar("DMChannel")
Category = TypeVar("Category")
Sticker = TypeVar("Sticker")
Server = TypeVar("Server")


class ChannelDelete(msgspec.Struct, frozen=True, rename="camel"):
    """A channel was deleted."""

    channel_id: str
    server_id: str


class CategoryDelete(msgspec.Struct, frozen=True, rename="camel"):
    """A category was deleted. Its channels remain."""

    category_id: str


class StickerDelete(msgspec.Struct, frozen=True, rename="camel"):
    """A sticker was deleted."""

    sticker_id: str


class ServerReference(msgspec.Struct, frozen=True, rename="camel"):
    """A server that was deleted, or that the user was removed from."""

    server_id: str


class ServerMember(msgspec.Struct, frozen=True, rename="camel"):
    """A user who joined or left a server."""

    server_id: str
    user_id: str


class PermissionsUpdate(msgspec.Struct, frozen=True, rename="camel", kw_only=True):
    """Roles, members' roles or a channel's overrides changed. Clients fetch again what they may see."""

    server_id: str
    channel_id: str | UnsetType = UNSET
    user_id: str | UnsetType = UNSET


class PresenceUpdate(msgspec.Struct, frozen=True, rename="camel"):
    """A user came online, or the last connection ended and the grace period passed."""

    user_id: str
    status: Literal["online", "offline"]


class ErrorMessage(msgspec.Struct, frozen=True):
    """Why an event of the client was refused or failed. There is no code if a message could not be created."""

    message: str
    code: str | UnsetType = UNSET


class BotConfigUpdate(msgspec.Struct, frozen=True, rename="camel"):
    """A bot of a service whose configuration changed."""

    service_type: str
    bot_id: str


_MESSAGES = "the channel's room; in a DM its recipients' personal rooms instead"
_SERVER = "the server's room"
_SOCKET = "the new socket"

MEW_EVENTS: tuple[EventDeclaration, ...] = (
    down("MESSAGE_CREATE", Message, to=_MESSAGES),
    down("MESSAGE_UPDATE", Message, to=_MESSAGES),
    down("MESSAGE_REACTION_ADD", Message, to=_MESSAGES),
    down("MESSAGE_REACTION_REMOVE", Message, to=_MESSAGES),
    down("CHANNEL_UPDATE", Channel, to=_SERVER),
    down("CHANNEL_DELETE", ChannelDelete, to=_SERVER),
    down("CATEGORY_UPDATE", Category, to=_SERVER),
    down("CATEGORY_DELETE", CategoryDelete, to=_SERVER),
    down("STICKER_CREATE", Sticker, to=_SERVER),
    down("STICKER_UPDATE", Sticker, to=_SERVER),
    down("STICKER_DELETE", StickerDelete, to=_SERVER),
    down("DM_CHANNEL_CREATE", DMChannel, to="the personal rooms of those concerned"),
    down("SERVER_UPDATE", Server, to=_SERVER),
    down("SERVER_DELETE", ServerReference, to=_SERVER),
    down("SERVER_KICK", ServerReference, to="the personal room of the kicked user only"),
    down("MEMBER_JOIN", ServerMember, to=_SERVER),
    down("MEMBER_LEAVE", ServerMember, to="those who remain in the server's room"),
    down(
        "PERMISSIONS_UPDATE",
        PermissionsUpdate,
        to="the server's room, or the personal room of the one user it concerns",
    ),
    down("PRESENCE_INITIAL_STATE", list[str], to=_SOCKET),
    down("PRESENCE_UPDATE", PresenceUpdate, to="all other users"),
    down("ready", to=_SOCKET),
    down("error", ErrorMessage, to="the socket concerned"),
)

INFRA_EVENTS: tuple[EventDeclaration, ...] = (
    down("SYSTEM_BOT_CONFIG_UPDATE", BotConfigUpdate, to="the services of that type"),
)
