"""Events: Socket.IO namespace `/events` (PROTOCOLS.md, section 2). Reads top to bottom as that page."""

from __future__ import annotations

import functools
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import UNSET

from asgi_realtime.auth import Authenticator, JWTAuthenticator, from_auth, from_query
from asgi_realtime.catalogue import down
from asgi_realtime.connection import Connection
from asgi_realtime.errors import Forbidden, Refusal
from asgi_realtime.faces import Blocking, TypedBroadcaster, both_ways
from asgi_realtime.gateways.base import returned_false
from asgi_realtime.gateways.handlers import on
from asgi_realtime.gateways.parts import Parts
from asgi_realtime.gateways.receiver import Acknowledge
from asgi_realtime.gateways.replies import Success
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.host_calls import HostCall, host_call
from asgi_realtime.ids import Id, id_text
from asgi_realtime.limits import Limits
from asgi_realtime.messages import Identity, Json, Receipt
from asgi_realtime.settings import Settings
from asgi_realtime.timestamps import iso

CONTENT_CHARACTERS = 1_000
"""Longest content of a message, in characters (not bytes)."""

NO_ACCESS = "无权访问此房间"
TOO_LONG = "消息过长"
IMPROPER = "包含不当内容"
TEXTS = {
    "FORBIDDEN": NO_ACCESS,
    "RATE_LIMITED": "消息发送过于频繁",
    "INVALID_MESSAGE": "消息格式错误",
    "INTERNAL": "服务器内部错误",
}
"""What a client is told, by the code of the refusal."""

Decide: TypeAlias = Callable[[Identity, str], Awaitable[Any] | Any]
"""The host's answer about a user and a text: true for yes. Async, or sync (then it runs in a thread)."""
Hook: TypeAlias = Callable[..., Awaitable[Any] | Any]


class RoomRequest(msgspec.Struct, frozen=True):
    """The room a client asks to join or leave."""

    room: str


class InRoom(msgspec.Struct, frozen=True, kw_only=True):
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


class Problem(msgspec.Struct, frozen=True):
    """Why something a client sent was refused."""

    message: str


class EventsGateway(SocketIOGateway):
    """Rooms that clients join by themselves, and messages between their members."""

    events = (
        down("user:joined", RoomMember, to="the room's other members"),
        down("user:left", RoomMember, to="those who are still in the room"),
        down("message", Message, to="the room, the sender included; without a room everybody but the sender"),
        down("error", Problem, to="the client whose event was refused, unless it waits for an acknowledgement"),
    )
    refusal = Failure

    def __init__(
        self,
        namespace: str = "/events",
        *,
        may_join: Decide | None = None,
        content_filter: Decide | None = None,
        initialised: Hook | None = None,
        connected: Hook | None = None,
        disconnected: Hook | None = None,
        authenticator: Authenticator | None = None,
        limits: Limits | None = None,
    ) -> None:
        """Make the gateway. All functions may be async, or sync (then they run in a thread).

        Args:
            namespace: where it is mounted.
            may_join: `(identity, room)`: whether the user may join. Default: everybody may, every room.
            content_filter: `(identity, content)`: whether this may be said. Default: everything may.
            initialised: `()`, when the server has started. Raising stops it.
            connected: `(connection)`, before the client is let in. Raising refuses it.
            disconnected: `(connection, reason)`, after the client has left every room.
            authenticator: who may connect. Default: a JWT in `auth.token` or the query `token`.
            limits: bounds of this gateway alone. Default: those of the settings.
        """
        super().__init__(namespace, authenticator=authenticator, limits=limits)
        self._may_join = self._given("may_join", may_join, "identity", "room")
        self._content_filter = self._given("content_filter", content_filter, "identity", "content")
        self._initialised = self._given("initialised", initialised)
        self._connected = self._given("connected", connected, "connection")
        self._disconnected = self._given("disconnected", disconnected, "connection", "reason")

    def _given(self, name: str, function: Callable[..., Any] | None, *takes: str) -> HostCall | None:
        return None if function is None else host_call(function, f"{type(self).__name__}: {name}", takes, self._face)

    def default_authenticator(self, parts: Parts) -> Authenticator:
        """A JWT in `auth.token`, else in the query, of which logs show nothing."""
        return JWTAuthenticator(parts.require_verifier(), [from_auth("token"), from_query("token")], parts.revocations)

    def extra_origins(self, settings: Settings) -> Collection[str]:
        """`CORS_ORIGIN`, for this gateway alone."""
        return [settings.events_cors_origin] if settings.events_cors_origin else []

    @on("join")
    async def _on_join(self, asked: RoomRequest, connection: Connection) -> InRoom:
        """Enter the room, if the host lets the user; its other members get `user:joined`."""
        room = asked.room
        allowed = None
        if self._may_join is not None:
            allowed = functools.partial(self._may_join, connection.identity, room)
        was_there = room in connection.rooms
        await connection.join(room, allowed=allowed)
        if not was_there:
            if room not in connection.rooms:  # the client has gone, or was put out, while we waited
                raise Forbidden(NO_ACCESS)
            await self._tell("user:joined", connection, room)
        return InRoom(room=room)

    @on("leave")
    async def _on_leave(self, asked: RoomRequest, connection: Connection) -> InRoom:
        """Leave the room; all who are in it get `user:left`."""
        if asked.room in connection.rooms:
            await connection.leave(asked.room)
            await self._tell("user:left", connection, asked.room)
        return InRoom(room=asked.room)

    @on("message")
    async def _on_message(self, new: NewMessage, connection: Connection) -> Success:
        """Say something to everybody in the room, which one must be in; without a room to everybody else."""
        if new.room is not None and new.room not in connection.rooms:
            raise Forbidden(NO_ACCESS)
        if len(new.content) > CONTENT_CHARACTERS:
            raise Refusal(TOO_LONG, code="TOO_LONG")
        if self._content_filter is not None and not await self._content_filter(connection.identity, new.content):
            raise Refusal(IMPROPER, code="IMPROPER")
        message = Message(connection.identity.user_id, new.content, iso(time.time()))
        if new.room is None:
            await self.broadcaster.broadcast_to_all("message", message, except_=connection.id)
        else:
            await self.broadcaster.broadcast_to_room(new.room, "message", message)
        return Success()

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Say why, in the words of the contract: in the acknowledgement, or where there is none by `error`."""
        text = TEXTS.get(refusal.reply_code, refusal.message)
        if acknowledge is not None:
            acknowledge([Failure(message=text)])
        else:
            self.push_event(connection, "error", Problem(text))

    async def on_start(self) -> None:
        """The host's hook `initialised`."""
        if self._initialised is not None:
            await self._initialised()

    async def on_connect(self, connection: Connection) -> None:
        """The host's hook `connected`."""
        if self._connected is not None and await self._connected(connection) is False:
            raise returned_false("connected")

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """Who is gone has left every room; then the host's hook `disconnected`."""
        for room in tuple(connection.rooms):
            await self._tell("user:left", connection, room)
        if self._disconnected is not None:
            await self._disconnected(connection, reason)

    async def _tell(self, event: str, connection: Connection, room: str) -> None:
        member = RoomMember(connection.identity.user_id, room)
        await self.broadcaster.broadcast_to_room(room, event, member, except_=connection.id)


class EventsBroadcaster(TypedBroadcaster):
    """What a host sends on Events: its own events, and those that clients know from each other."""

    @property
    def sync(self) -> SyncEventsBroadcaster:
        """The same methods for threads: sync routes, workers."""
        return SyncEventsBroadcaster(self)

    @both_ways
    async def broadcast_to_room(self, room: Id, event: str, data: Any = UNSET) -> Receipt:
        """An event of the host's own to everybody in a room."""
        return await self._to.broadcast_to_room(room, event, data)

    @both_ways
    async def broadcast_to_all(self, event: str, data: Any = UNSET) -> Receipt:
        """An event of the host's own to everybody: an announcement, say."""
        return await self._to.broadcast_to_all(event, data)

    @both_ways
    async def close_room(self, room: Id) -> None:
        """Take everybody out of a room. Nobody is told."""
        await self._to.close_room(room)

    @both_ways
    async def message(self, sender_id: Id, content: str, *, room: Id | None = None) -> Receipt:
        """`message` to the room, or to everybody, with the time of now. Neither length nor content is checked."""
        message = Message(id_text(sender_id, "sender_id"), content, iso(time.time()))
        if room is None:
            return await self._to.broadcast_to_all("message", message)
        return await self._to.broadcast_to_room(room, "message", message)

    @both_ways
    async def user_joined(self, user_id: Id, room: Id) -> Receipt:
        """Put a user's connections into a room; `user:joined` to those who were in it before."""
        member = RoomMember(id_text(user_id, "user_id"), id_text(room, "room"))
        receipt = await self._to.broadcast_to_room(member.room, "user:joined", member)
        await self._to.add_user_to_room(member.user_id, member.room)
        return receipt

    @both_ways
    async def user_left(self, user_id: Id, room: Id) -> Receipt:
        """Take a user's connections out of a room (they lost access, say); `user:left` to those who remain."""
        member = RoomMember(id_text(user_id, "user_id"), id_text(room, "room"))
        await self._to.remove_user_from_room(member.user_id, member.room)
        return await self._to.broadcast_to_room(member.room, "user:left", member)


class SyncEventsBroadcaster(Blocking, EventsBroadcaster):
    """`EventsBroadcaster` for threads: its methods return when the event has been sent."""
