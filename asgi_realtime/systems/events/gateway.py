"""The Events gateway: Socket.IO namespace `/events` (PROTOCOLS.md, section 2)."""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Sequence
from typing import Any

from asgi_realtime.auth.authenticators import Authenticator, JWTAuthenticator
from asgi_realtime.auth.token_sources import from_auth, from_query
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import Forbidden, Refusal
from asgi_realtime.gateways.context import GatewayContext
from asgi_realtime.gateways.dispatcher import Acknowledge
from asgi_realtime.gateways.replies import Success
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.handlers.event_declarations import down
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.runtime.host_calls import HostCall
from asgi_realtime.settings import Settings
from asgi_realtime.systems.events.events import (
    ErrorMessage,
    Failure,
    Message,
    NewMessage,
    RoomMember,
    RoomReply,
    RoomRequest,
)
from asgi_realtime.systems.events.service import Decide, Hook
from asgi_realtime.values.json import Json
from asgi_realtime.values.timestamps import iso

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


class EventsGateway(SocketIOGateway):
    """Rooms that clients join by themselves, and messages between their members."""

    events = (
        down("user:joined", RoomMember, to="the room's other members"),
        down("user:left", RoomMember, to="those who are still in the room"),
        down("message", Message, to="the room, the sender included; without a room everybody but the sender"),
        down("error", ErrorMessage, to="the client whose event was refused, unless it waits for an acknowledgement"),
    )
    failure = Failure

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
        self._may_join = self._optional_call(may_join, "may_join", "identity", "room")
        self._content_filter = self._optional_call(content_filter, "content_filter", "identity", "content")
        self._initialised = self._optional_call(initialised, "initialised")
        self._connected = self._optional_call(connected, "connected", "connection")
        self._disconnected = self._optional_call(disconnected, "disconnected", "connection", "reason")

    def _optional_call(self, function: Callable[..., Any] | None, name: str, *takes: str) -> HostCall | None:
        return None if function is None else self.host_call(function, name, *takes)

    def default_authenticator(self, context: GatewayContext) -> Authenticator:
        """A JWT in `auth.token`, else in the query, of which logs show nothing."""
        return JWTAuthenticator(
            context.require_verifier(), [from_auth("token"), from_query("token")], context.revocations
        )

    def extra_origins(self, settings: Settings) -> Collection[str]:
        """`CORS_ORIGIN`, for this gateway alone."""
        return [settings.events_cors_origin] if settings.events_cors_origin else []

    @on("join")
    async def _on_join(self, asked: RoomRequest, connection: Connection) -> RoomReply:
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
        return RoomReply(room=room)

    @on("leave")
    async def _on_leave(self, asked: RoomRequest, connection: Connection) -> RoomReply:
        """Leave the room; all who are in it get `user:left`."""
        if asked.room in connection.rooms:
            await connection.leave(asked.room)
            await self._tell("user:left", connection, asked.room)
        return RoomReply(room=asked.room)

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
            self.push_event(connection, "error", ErrorMessage(text))

    async def on_start(self) -> None:
        """The host's hook `initialised`."""
        if self._initialised is not None:
            await self._initialised()

    async def on_connect(self, connection: Connection) -> None:
        """The host's hook `connected`."""
        if self._connected is not None:
            await self._connected(connection)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """Who is gone has left every room; then the host's hook `disconnected`."""
        for room in tuple(connection.rooms):
            await self._tell("user:left", connection, room)
        if self._disconnected is not None:
            await self._disconnected(connection, reason)

    async def _tell(self, event: str, connection: Connection, room: str) -> None:
        member = RoomMember(connection.identity.user_id, room)
        await self.broadcaster.broadcast_to_room(room, event, member, except_=connection.id)
