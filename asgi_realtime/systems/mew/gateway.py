"""The Mew gateway: Socket.IO namespace `/` (docs/reference/protocols.md, section 1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.auth.token_sources import token_from_auth, token_from_bearer, token_from_cookie
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import Forbidden, Refusal
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.replies import Success
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.handlers.event_handlers import on
from asgi_realtime.limits import Limits
from asgi_realtime.systems.mew.broadcaster import MewBroadcaster
from asgi_realtime.systems.mew.events import (
    MEW_EVENTS,
    ErrorMessage,
    PresenceUpdate,
)
from asgi_realtime.systems.mew.service import ChannelFollow, MessageCreate, MewService, UserRooms
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import id_from_host, ids_from_host
from asgi_realtime.values.json import Json


class MewGateway(SocketIOGateway):
    """The user-facing namespace. Token: `auth.token`, else the cookie `mew_access_token`, else a bearer header."""

    events = MEW_EVENTS
    token_sources = (token_from_auth("token"), token_from_cookie("mew_access_token"), token_from_bearer())

    def __init__(
        self,
        namespace: str = "/",
        *,
        service: MewService,
        authenticator: Authenticator | None = None,
        limits: Limits | None = None,
    ) -> None:
        super().__init__(namespace, authenticator=authenticator, limits=limits)
        self.__rooms_of = self.service_call(service, "rooms_of", "identity")
        self.__create_message = self.service_call(service, "create_message", "identity", "message", "broadcaster")

    async def on_connect(self, connection: Connection) -> None:
        """Enter the user's rooms, then send `PRESENCE_INITIAL_STATE`, then `ready`."""
        await self.enter_rooms(connection)
        online = await self.broadcaster.online_users()
        await connection.send("PRESENCE_INITIAL_STATE", sorted(online | {connection.identity.user_id}))
        await connection.send("ready")

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        """Return the rooms of the user's servers, of their channels below them, and of the direct-message channels."""
        rooms = await self.__user_rooms(identity)
        found: dict[str, str | None] = dict.fromkeys(ids_from_host(rooms.dms, "UserRooms.dms"))
        for channel, server in _server_channels(rooms).items():
            found[channel] = server
        return found | dict.fromkeys(id_from_host(server, "a server of UserRooms.servers") for server in rooms.servers)

    async def __user_rooms(self, identity: Identity) -> UserRooms:
        rooms = await self.__rooms_of(identity)
        if not isinstance(rooms, UserRooms):
            raise TypeError(f"MewService.rooms_of must return UserRooms, not {type(rooms).__qualname__}")
        return rooms

    async def on_online(self, connection: Connection) -> None:
        """Send `PRESENCE_UPDATE` to all other clients."""
        await self._presence(connection.identity.user_id, "online", except_=connection.id)

    async def on_offline(self, user_id: str) -> None:
        """Send `PRESENCE_UPDATE` to all clients."""
        await self._presence(user_id, "offline")

    async def _presence(
        self, user_id: str, status: Literal["online", "offline"], *, except_: str | tuple[str, ...] = ()
    ) -> None:
        await self.broadcaster.broadcast_to_all("PRESENCE_UPDATE", PresenceUpdate(user_id, status), except_=except_)

    @on("message/create")
    async def _on_message_create(self, message: MessageCreate, identity: Identity) -> None:
        """Pass the message to the host. The result arrives as `MESSAGE_CREATE`."""
        await self.__create_message(identity, message, MewBroadcaster(self.broadcaster))

    @on("channel/follow")
    async def _on_channel_follow(self, follow: ChannelFollow, connection: Connection) -> Success:
        """Send the events of a server's channel after the position, before later ones."""
        server = _server_channels(await self.__user_rooms(connection.identity)).get(follow.channel_id)
        if server is None or follow.channel_id not in connection.rooms:
            # Messages of a DM are not sent to its room.
            raise Forbidden("no channel of a server that you may see")
        await connection.join(follow.channel_id, parent=server, since=follow.position)
        return Success()

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Send `error`. For `message/create` its text is always the one of the contract."""
        if event == "message/create":
            self.push_event(connection, "error", ErrorMessage("Failed to create message"))
        else:
            super().send_refusal(connection, event, sent, refusal, acknowledge)


def _server_channels(rooms: UserRooms) -> dict[str, str]:
    """The channels of a user's servers, each with its server."""
    return {
        channel: id_from_host(server, "a server of UserRooms.servers")
        for server, channels in rooms.servers.items()
        for channel in ids_from_host(channels, "UserRooms.servers")
    }
