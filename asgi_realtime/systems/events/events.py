"""The payloads of Events (docs/reference/protocols.md, section 2): what clients send and what the server sends."""

from __future__ import annotations

from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType


class RoomRequest(msgspec.Struct, frozen=True):
    """The room that a client wants to join or leave."""

    room: str


class JoinRequest(RoomRequest, frozen=True):
    """The room that a client wants to join. With a position, it first gets the room's events since then."""

    position: str | None = None


class RoomReply(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement: the client joined the room, or left it."""

    success: Literal[True] = True
    room: str


class NewMessage(msgspec.Struct, frozen=True):
    """A message that a client sends: to a room it is in, or without a room to all other clients."""

    content: str
    room: str | None = None


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """A message. The timestamp is ISO 8601, in UTC."""

    sender_id: str
    content: str
    timestamp: str


class RoomMember(msgspec.Struct, frozen=True, rename="camel"):
    """A user who joined or left a room."""

    user_id: str
    room: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """An acknowledgement: the event was refused or failed. `code` is there if a position cannot be followed from."""

    success: Literal[False] = False
    message: str
    code: Literal["POSITION_LOST"] | UnsetType = UNSET


class ErrorMessage(msgspec.Struct, frozen=True):
    """Why an event of the client was refused or failed."""

    message: str
