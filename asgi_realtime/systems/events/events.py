"""What Events' clients and server send (PROTOCOLS.md, section 2), with the types of the payloads."""

from __future__ import annotations

from typing import Literal

import msgspec


class RoomRequest(msgspec.Struct, frozen=True):
    """The room a client asks to join or leave."""

    room: str


class RoomReply(msgspec.Struct, frozen=True, kw_only=True):
    """The client is in the room, or has left it, as it asked."""

    success: Literal[True] = True
    room: str


class NewMessage(msgspec.Struct, frozen=True):
    """What a client says: to a room it is in, or without one to everybody else."""

    content: str
    room: str | None = None


class Message(msgspec.Struct, frozen=True, rename="camel"):
    """What somebody said. The timestamp is ISO 8601, in UTC."""

    sender_id: str
    content: str
    timestamp: str


class RoomMember(msgspec.Struct, frozen=True, rename="camel"):
    """Who joined or left which room."""

    user_id: str
    room: str


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """What an acknowledgement says when the server refuses."""

    success: Literal[False] = False
    message: str


class ErrorMessage(msgspec.Struct, frozen=True):
    """Why something a client sent was refused."""

    message: str
