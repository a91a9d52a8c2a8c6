"""Mew: Socket.IO namespace `/` (PROTOCOLS.md, section 1). Reads top to bottom as that page."""

from __future__ import annotations

from collections.abc import Awaitable, Collection, Iterable, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias
from uuid import UUID

import msgspec
from msgspec import UNSET

from asgi_realtime.auth import Authenticator, JWTAuthenticator, from_auth, from_bearer, from_cookie
from asgi_realtime.broadcaster import Broadcaster
from asgi_realtime.connection import Connection
from asgi_realtime.errors import Refusal
from asgi_realtime.faces import Blocking, TypedBroadcaster, both_ways
from asgi_realtime.gateways.handlers import on
from asgi_realtime.gateways.mew_events import (
    MEW_EVENTS,
    BotConfigUpdate,
    CategoryDelete,
    ChannelDelete,
    FailedMessage,
    PermissionsUpdate,
    PresenceUpdate,
    ServerMember,
    ServerReference,
    StickerDelete,
)
from asgi_realtime.gateways.parts import Parts
from asgi_realtime.gateways.receiver import Acknowledge
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.host_calls import method_call
from asgi_realtime.ids import Id, id_from_host, id_text, id_texts, ids_from_host
from asgi_realtime.limits import Limits
from asgi_realtime.messages import Identity, Json, Receipt, RoomName, UserId

Awaited: TypeAlias = Awaitable[Any] | Any
"""A service's methods may be async, or sync; sync ones run in a thread."""


class MessageCreate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a client sends with `message/create`. Only the types are checked: the service knows the rules."""

    channel_id: str
    content: str | None = None
    attachments: list[Json] | None = None
    referenced_message_id: str | None = None
    type: str | None = None
    payload: dict[str, Json] | None = None
    plain_text: str | None = None


class UserRooms(msgspec.Struct, frozen=True):
    """What a user may see: the channels with `VIEW_CHANNEL` by server, and the direct-message channels."""

    # A mapping's keys are of one type to a type checker.
    servers: Mapping[str, Iterable[Id]] | Mapping[int, Iterable[Id]] | Mapping[UUID, Iterable[Id]] = {}
    dms: Iterable[Id] = ()


class MewService(Protocol):
    """What Mew asks of its host. Sync or async; an exception refuses what was asked."""

    def rooms_of(self, identity: Identity) -> Awaited:
        """Return the user's `UserRooms`, as the database has it now."""

    def create_message(self, identity: Identity, message: MessageCreate, broadcaster: MewBroadcaster) -> Awaited:
        """Check, save and broadcast a message, just as the REST route does. Raise if it may not or cannot be."""


class MewGateway(SocketIOGateway):
    """The user-facing namespace. Token: `auth.token`, else the cookie `mew_access_token`, else a bearer header."""

    events = MEW_EVENTS

    def __init__(
        self,
        namespace: str = "/",
        *,
        service: MewService,
        authenticator: Authenticator | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(namespace, authenticator=authenticator, limits=limits)
        self._rooms_of = method_call(service, "rooms_of", ("identity",))
        self._create_message = method_call(service, "create_message", ("identity", "message", "broadcaster"))

    def default_authenticator(self, parts: Parts) -> Authenticator:
        """A JWT from the three places, in that order; never from the query."""
        sources = [from_auth("token"), from_cookie("mew_access_token"), from_bearer()]
        return JWTAuthenticator(parts.require_verifier(), sources, parts.revocations)

    async def on_connect(self, connection: Connection) -> None:
        """Rooms, then `PRESENCE_INITIAL_STATE`, then `ready`."""
        await self.parts.hub.enter(connection)
        online = await self.parts.presence.online(self.name)
        await connection.send("PRESENCE_INITIAL_STATE", sorted(online | {connection.identity.user_id}))
        await connection.send("ready")

    async def rooms_of(self, identity: Identity) -> Mapping[RoomName, RoomName | None]:
        """Every visible channel, below its server; every server; every direct-message channel."""
        rooms = await self._rooms_of(identity)
        if not isinstance(rooms, UserRooms):
            raise TypeError(f"MewService.rooms_of must return UserRooms, not {type(rooms).__qualname__}")
        found: dict[RoomName, RoomName | None] = dict.fromkeys(map(RoomName, ids_from_host(rooms.dms, "UserRooms.dms")))
        for server, channels in rooms.servers.items():
            above = RoomName(id_from_host(server, "a server of UserRooms.servers"))
            found[above] = None
            found.update((RoomName(each), above) for each in ids_from_host(channels, "UserRooms.servers"))
        return found

    async def on_online(self, connection: Connection) -> None:
        """Everybody else is told."""
        await self._presence(connection.identity.user_id, "online", except_=connection.id)

    async def on_offline(self, user_id: UserId) -> None:
        """Everybody is told."""
        await self._presence(user_id, "offline")

    async def _presence(
        self, user_id: UserId, status: Literal["online", "offline"], *, except_: str | tuple[str, ...] = ()
    ) -> None:
        await self.broadcaster.broadcast_to_all("PRESENCE_UPDATE", PresenceUpdate(user_id, status), except_=except_)

    @on("message/create")
    async def _on_message_create(self, message: MessageCreate, identity: Identity) -> None:
        """Hand the message to the host. The result arrives as `MESSAGE_CREATE`."""
        await self._create_message(identity, message, MewBroadcaster(self.broadcaster))

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Whatever went wrong with a message, its sender alone hears the one sentence of the contract."""
        if event == "message/create":
            self.push_event(connection, "error", FailedMessage("Failed to create message"))
        else:
            super().send_refusal(connection, event, sent, refusal, acknowledge)


class MewBroadcaster(TypedBroadcaster):
    """One method per server event of Mew and Infra, each of which knows where its event goes.

    Call them after the database has committed: where an event changes who may see what, the host's
    service is asked again, and rooms change before the next broadcast can leak.
    """

    def __init__(self, broadcaster: Broadcaster, *, infra: str = "/infra") -> None:
        """Wrap a broadcaster that is narrowed to a `MewGateway`. `infra` is where the `InfraGateway` is mounted."""
        super().__init__(broadcaster)
        self._infra = infra

    @property
    def sync(self) -> SyncMewBroadcaster:
        """The same methods for threads: sync routes, workers."""
        return SyncMewBroadcaster(self)

    @both_ways
    async def message_create(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_CREATE` to the channel; in a DM (`recipients`: its users) to their personal rooms instead."""
        return await self._message("MESSAGE_CREATE", channel_id, message, recipients)

    @both_ways
    async def message_update(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_UPDATE` (an edit, a retraction): routed as `message_create`."""
        return await self._message("MESSAGE_UPDATE", channel_id, message, recipients)

    @both_ways
    async def message_reaction_add(self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None) -> Receipt:
        """`MESSAGE_REACTION_ADD` with the whole message: routed as `message_create`."""
        return await self._message("MESSAGE_REACTION_ADD", channel_id, message, recipients)

    @both_ways
    async def message_reaction_remove(
        self, channel_id: Id, message: Any, *, recipients: Collection[Id] | None
    ) -> Receipt:
        """`MESSAGE_REACTION_REMOVE` with the whole message: routed as `message_create`."""
        return await self._message("MESSAGE_REACTION_REMOVE", channel_id, message, recipients)

    async def _message(self, event: str, channel_id: Id, message: Any, recipients: Collection[Id] | None) -> Receipt:
        # A DM's users are in the DM's room and in their personal rooms: one of the two, or it comes twice.
        if recipients is not None:
            return await self._to.broadcast_to_users(id_texts(recipients, "recipients"), event, message)
        return await self._to.broadcast_to_room(id_text(channel_id, "channel_id"), event, message)

    @both_ways
    async def channel_update(self, server_id: Id, channel: Any) -> Receipt:
        """`CHANNEL_UPDATE` to the server."""
        return await self._to_server(server_id, "CHANNEL_UPDATE", channel)

    @both_ways
    async def channel_delete(self, server_id: Id, channel_id: Id) -> Receipt:
        """`CHANNEL_DELETE` to the server. The channel's room is emptied."""
        channel, server = id_text(channel_id, "channel_id"), id_text(server_id, "server_id")
        await self._to.close_room(channel)
        return await self._to.broadcast_to_room(server, "CHANNEL_DELETE", ChannelDelete(channel, server))

    @both_ways
    async def category_update(self, server_id: Id, category: Any) -> Receipt:
        """`CATEGORY_UPDATE` to the server."""
        return await self._to_server(server_id, "CATEGORY_UPDATE", category)

    @both_ways
    async def category_delete(self, server_id: Id, category_id: Id) -> Receipt:
        """`CATEGORY_DELETE` to the server."""
        event = CategoryDelete(id_text(category_id, "category_id"))
        return await self._to_server(server_id, "CATEGORY_DELETE", event)

    @both_ways
    async def sticker_create(self, server_id: Id, sticker: Any) -> Receipt:
        """`STICKER_CREATE` to the server."""
        return await self._to_server(server_id, "STICKER_CREATE", sticker)

    @both_ways
    async def sticker_update(self, server_id: Id, sticker: Any) -> Receipt:
        """`STICKER_UPDATE` to the server."""
        return await self._to_server(server_id, "STICKER_UPDATE", sticker)

    @both_ways
    async def sticker_delete(self, server_id: Id, sticker_id: Id) -> Receipt:
        """`STICKER_DELETE` to the server."""
        event = StickerDelete(id_text(sticker_id, "sticker_id"))
        return await self._to_server(server_id, "STICKER_DELETE", event)

    @both_ways
    async def dm_channel_create(self, channel_id: Id, channel: Any, *, recipients: Collection[Id]) -> Receipt:
        """`DM_CHANNEL_CREATE` to those concerned, who enter the channel's room. `channel` carries `recipients`."""
        users, room = id_texts(recipients, "recipients"), id_text(channel_id, "channel_id")
        for user in users:
            await self._to.add_user_to_room(user, room)
        return await self._to.broadcast_to_users(users, "DM_CHANNEL_CREATE", channel)

    @both_ways
    async def server_update(self, server_id: Id, server: Any) -> Receipt:
        """`SERVER_UPDATE` to the server."""
        return await self._to_server(server_id, "SERVER_UPDATE", server)

    @both_ways
    async def server_delete(self, server_id: Id) -> Receipt:
        """`SERVER_DELETE` to the server, whose room and channels' rooms are then emptied."""
        server = id_text(server_id, "server_id")
        receipt = await self._to.broadcast_to_room(server, "SERVER_DELETE", ServerReference(server))
        await self._to.close_room(server)
        return receipt

    @both_ways
    async def server_kick(self, server_id: Id, user_id: Id) -> Receipt:
        """`SERVER_KICK` to the kicked user alone, who is out of the rooms first; `MEMBER_LEAVE` to those who remain."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._to.remove_user_from_room(user, server)
        receipt = await self._to.broadcast_to_user(user, "SERVER_KICK", ServerReference(server))
        await self.member_leave(server, user)
        return receipt

    @both_ways
    async def member_join(self, server_id: Id, user_id: Id) -> Receipt:
        """`MEMBER_JOIN` to the server, the new member included, who enters the rooms first."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._to.add_user_to_room(user, server)
        await self._to.refresh_rooms(user)
        return await self._to.broadcast_to_room(server, "MEMBER_JOIN", ServerMember(server, user))

    @both_ways
    async def member_leave(self, server_id: Id, user_id: Id) -> Receipt:
        """`MEMBER_LEAVE` to those who remain: who leaves is out of the rooms first."""
        server, user = id_text(server_id, "server_id"), id_text(user_id, "user_id")
        await self._to.remove_user_from_room(user, server)
        return await self._to.broadcast_to_room(server, "MEMBER_LEAVE", ServerMember(server, user))

    @both_ways
    async def permissions_update(
        self, server_id: Id, *, channel_id: Id | None = None, user_id: Id | None = None
    ) -> Receipt:
        """`PERMISSIONS_UPDATE` to the server, or to the one user it concerns. Their rooms are asked for anew first.

        Between this call and the service's answer nothing is written to them.
        """
        server = id_text(server_id, "server_id")
        user = None if user_id is None else id_text(user_id, "user_id")
        event = PermissionsUpdate(
            server_id=server,
            channel_id=UNSET if channel_id is None else id_text(channel_id, "channel_id"),
            user_id=UNSET if user is None else user,
        )
        if user is None:
            await self._to.refresh_members(server)
            return await self._to.broadcast_to_room(server, "PERMISSIONS_UPDATE", event)
        await self._to.refresh_rooms(user)
        return await self._to.broadcast_to_user(user, "PERMISSIONS_UPDATE", event)

    @both_ways
    async def system_bot_config_update(self, service_type: Id, bot_id: Id) -> Receipt:
        """`SYSTEM_BOT_CONFIG_UPDATE` to the services of that type, on Infra."""
        service, bot = id_text(service_type, "service_type"), id_text(bot_id, "bot_id")
        event = BotConfigUpdate(service, bot)
        return await self._to.broadcast_to_room(service, "SYSTEM_BOT_CONFIG_UPDATE", event, gateway=self._infra)

    async def _to_server(self, server_id: Id, event: str, data: Any) -> Receipt:
        return await self._to.broadcast_to_room(id_text(server_id, "server_id"), event, data)


class SyncMewBroadcaster(Blocking, MewBroadcaster):
    """`MewBroadcaster` for threads: its methods return when the event has been sent."""
