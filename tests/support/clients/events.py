# fmt: off
# ruff: noqa
"""Typed client of `EventsGateway`.

Made by `python -m asgi_realtime client` from the gateway's declarations: change them there.
"""

from __future__ import annotations

from typing import Literal, NotRequired, TypeAlias, TypedDict

from asgi_realtime.client import Event, SocketIOClient


class RoomMember(TypedDict):
    """A user who joined or left a room."""

    userId: str
    room: str


class Message(TypedDict):
    """A message. The timestamp is ISO 8601, in UTC."""

    senderId: str
    content: str
    timestamp: str


class ErrorMessage(TypedDict):
    """Why an event of the client was refused or failed."""

    message: str


class NewToken(TypedDict):
    """The token that replaces a client's token."""

    token: str


class Success(TypedDict):
    """An acknowledgement: the event was handled."""

    success: Literal[True]


class Failure(TypedDict):
    """An acknowledgement: the event was refused or failed.

    `code` is there if a position cannot be followed from.
    """

    success: Literal[False]
    message: str
    code: NotRequired[Literal["POSITION_LOST"]]


class JoinRequest(TypedDict):
    """The room that a client wants to join.

    With a position, it first gets the room's events since then.
    """

    room: str
    position: NotRequired[str | None]


class RoomReply(TypedDict):
    """An acknowledgement: the client joined the room, or left it."""

    success: Literal[True]
    room: str


class RoomRequest(TypedDict):
    """The room that a client wants to join or leave."""

    room: str


class NewMessage(TypedDict):
    """A message that a client sends: to a room it is in, or without a room to all other clients."""

    content: str
    room: NotRequired[str | None]


class UserJoinedEvent(Event[RoomMember]):
    """To the other members of the room."""

    name = "user:joined"


class UserLeftEvent(Event[RoomMember]):
    """To the remaining members of the room."""

    name = "user:left"


class MessageEvent(Event[Message]):
    """To the room, the sender included; without a room all clients but the sender."""

    name = "message"


class ErrorEvent(Event[ErrorMessage]):
    """To the client whose event was refused, if it asked for no acknowledgement."""

    name = "error"


ServerEvent: TypeAlias = UserJoinedEvent | UserLeftEvent | MessageEvent | ErrorEvent


class EventsClient(SocketIOClient[ServerEvent]):
    """A client of `EventsGateway`.

    Clients join rooms and send messages to the members. Token: `auth.token`, else the query
    `token`.
    """

    namespace = "/events"
    events = (
        UserJoinedEvent,
        UserLeftEvent,
        MessageEvent,
        ErrorEvent,
    )

    async def auth_refresh(self, payload: NewToken, *, timeout: float = 10.0) -> Success:
        """Replace the token of a live connection. The new token must be of the same user."""
        answer: Success = await self._call("auth/refresh", payload, timeout=timeout)
        return answer

    async def join(self, payload: JoinRequest, *, timeout: float = 10.0) -> RoomReply:
        """Join the room, if `may_join` allows it. The other members get `user:joined`."""
        answer: RoomReply = await self._call("join", payload, timeout=timeout)
        return answer

    async def leave(self, payload: RoomRequest, *, timeout: float = 10.0) -> RoomReply:
        """Leave the room. The remaining members get `user:left`."""
        answer: RoomReply = await self._call("leave", payload, timeout=timeout)
        return answer

    async def message(self, payload: NewMessage, *, timeout: float = 10.0) -> Success:
        """Send a message to a room that the client is in, or without a room to all other clients."""
        answer: Success = await self._call("message", payload, timeout=timeout)
        return answer
