"""The Events gateway: Socket.IO namespace `/events` (docs/reference/protocols.md, section 2)."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Sequence
from typing import Any

from msgspec import UNSET

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.auth.token_sources import token_from_auth, token_from_query
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import Forbidden, PositionLost, Refusal
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.replies import Success
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.handlers.event_declarations import down
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.host_calls import HostCall
from asgi_realtime.settings import Settings
from asgi_realtime.systems.events.events import (
    ErrorMessage,
    Failure,
    JoinRequest,
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
"""Maximum length of a message's content, in characters."""

NO_ACCESS = "无权访问此房间"
TOO_LONG = "消息过长"
IMPROPER = "包含不当内容"
TEXTS = {
    "FORBIDDEN": NO_ACCESS,
    "RATE_LIMITED": "消息发送过于频繁",
    "INVALID_MESSAGE": "消息格式错误",
    "INTERNAL": "服务器内部错误",
    "POSITION_LOST": "历史记录不完整",
}
"""Texts for clients, by the code of the refusal. A refusal with another code keeps its own message."""


class EventsGateway(SocketIOGateway):
    """Clients join rooms and send messages to the members. Token: `auth.token`, else the query `token`."""

    events = (
        down("user:joined", RoomMember, to="the other members of the room"),
        down("user:left", RoomMember, to="the remaining members of the room"),
        down("message", Message, to="the room, the sender included; without a room all clients but the sender"),
        down("error", ErrorMessage, to="the client whose event was refused, if it asked for no acknowledgement"),
    )
    failure = Failure
    token_sources = (token_from_auth("token"), token_from_query("token"))  # logs do not show the query

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
        """Make the gateway. Each function is async, or plain: then it runs in a thread.

        Args:
            namespace: where it is mounted.
            may_join: `(identity, room)`, returns whether the user may join. Default: every user may join every room.
            content_filter: `(identity, content)`, returns whether the message may be sent. Default: it may.
            initialised: `()`, called when the server has started. If it raises, the server stops.
            connected: `(connection)`, called before the client is connected. If it raises, the client is refused.
            disconnected: `(connection, reason)`, called after the client has left every room.
            authenticator: authenticates clients. Default: a JWT in `auth.token` or the query `token`.
            limits: limits of this gateway. Default: those of the settings.
        """
        super().__init__(namespace, authenticator=authenticator, limits=limits)
        self.__may_join = self._optional_call(may_join, "may_join", "identity", "room")
        self.__content_filter = self._optional_call(content_filter, "content_filter", "identity", "content")
        self.__initialised = self._optional_call(initialised, "initialised")
        self.__connected = self._optional_call(connected, "connected", "connection")
        self.__disconnected = self._optional_call(disconnected, "disconnected", "connection", "reason")

    def _optional_call(self, function: Callable[..., Any] | None, name: str, *takes: str) -> HostCall | None:
        return None if function is None else self.host_call(function, name, *takes)

    def extra_origins(self, settings: Settings) -> Collection[str]:
        """The origin of `CORS_ORIGIN`, which no other gateway accepts."""
        return [settings.events_cors_origin] if settings.events_cors_origin else []

    @on("join")
    async def _on_join(self, request: JoinRequest, connection: Connection) -> RoomReply:
        """Join the room, if `may_join` allows it. The other members get `user:joined`."""
        room = request.room
        allowed = None
        if self.__may_join is not None:
            allowed = functools.partial(self.__may_join, connection.identity, room)
        was_there = room in connection.rooms
        await connection.join(room, allowed=allowed, since=request.position)
        if not was_there:
            if room not in connection.rooms:  # it disconnected, or was removed, while `may_join` ran
                raise Forbidden(NO_ACCESS)
            await self._broadcast_membership("user:joined", connection, room)
        return RoomReply(room=room)

    @on("leave")
    async def _on_leave(self, request: RoomRequest, connection: Connection) -> RoomReply:
        """Leave the room. The remaining members get `user:left`."""
        if request.room in connection.rooms:
            await connection.leave(request.room)
            await self._broadcast_membership("user:left", connection, request.room)
        return RoomReply(room=request.room)

    @on("message")
    async def _on_message(self, new: NewMessage, connection: Connection) -> Success:
        """Send a message to a room that the client is in, or without a room to all other clients."""
        if new.room is not None and new.room not in connection.rooms:
            raise Forbidden(NO_ACCESS)
        if len(new.content) > CONTENT_CHARACTERS:
            raise Refusal(TOO_LONG, code="TOO_LONG")
        if self.__content_filter is not None and not await self.__content_filter(connection.identity, new.content):
            raise Refusal(IMPROPER, code="IMPROPER")
        if new.room is not None and new.room not in connection.rooms:  # it was removed while the filter ran
            raise Forbidden(NO_ACCESS)
        message = Message(connection.identity.user_id, new.content, iso(time_source.wall()))
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
        """Answer with the text of the contract: in the acknowledgement, else by `error`."""
        text = TEXTS.get(refusal.reply_code, refusal.message)
        if acknowledge is not None:
            acknowledge([Failure(message=text, code="POSITION_LOST" if isinstance(refusal, PositionLost) else UNSET)])
        else:
            self.push_event(connection, "error", ErrorMessage(text))

    async def on_start(self) -> None:
        """Call `initialised`."""
        if self.__initialised is not None:
            await self.__initialised()

    async def on_connect(self, connection: Connection) -> None:
        """Call `connected`."""
        if self.__connected is not None and await self.__connected(connection) is False:
            raise TypeError("connected returned False; to refuse a client, raise Forbidden() or another Refusal")

    def connection_opened(self, connection: Connection) -> None:
        """Send `user:joined` again to the rooms of a client that has recovered: they got `user:left`."""
        if connection.recovered:
            self.run_later(connection, "user:joined", self._announce_return)

    async def _announce_return(self, connection: Connection) -> None:
        for room in tuple(connection.rooms):
            await self._broadcast_membership("user:joined", connection, room)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """Send `user:left` to the rooms of the client, and call `disconnected`."""
        failure = None
        try:
            for room in tuple(connection.rooms):
                await self._broadcast_membership("user:left", connection, room)
        except Exception as error:  # not a cancellation: then the time for both is over
            failure = error
        if self.__disconnected is not None:
            await self.__disconnected(connection, reason)
        if failure is not None:
            raise failure

    async def _broadcast_membership(self, event: str, connection: Connection, room: str) -> None:
        member = RoomMember(connection.identity.user_id, room)
        await self.broadcaster.broadcast_to_room(room, event, member, except_=connection.id)
