"""What host code holds: one object to send events with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from typing import Any

from msgspec import UNSET

from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.broadcasting.sync_broadcaster import SyncBroadcaster
from asgi_realtime.broker.base import Broker
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import BrokerUnavailable, ConfigurationError, PayloadTooLarge
from asgi_realtime.limits import room_text
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.presence.base import Presence
from asgi_realtime.runtime.coroutines import in_time
from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.values.close_codes import check_close
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    DisconnectUser,
    RefreshRooms,
    RemoveFromRoom,
    RevokeToken,
    RevokeUser,
    TakeOver,
)
from asgi_realtime.values.ids import ConnectionId, GatewayName, Id, RoomName, UserId, id_text, id_texts
from asgi_realtime.values.publications import Position, Publication, Receipt, Target, ToAll, ToRoom, ToUsers

_TURN_BYTES = 65_536
"""So much is broadcast before the event loop has a turn, if nothing else gave it one."""


class Broadcaster:
    """Sends events to rooms, users or everybody of a gateway, on every process.

    Events go to the first gateway mounted unless `gateway=` or `of()` names another: rooms belong
    to a gateway. What one coroutine awaits one after the other arrives in that order, membership
    changes included: after `remove_user_from_room` returns, no later broadcast reaches that user there.

    Ids (of users, rooms, connections, tokens) are text, numbers or UUIDs; `5` and `"5"` are the same.

    Every broadcast raises `PayloadTooLarge`, `BrokerUnavailable`, `TypeError` for a payload that is
    not JSON (or has `bytes` in it, for a WebSocket gateway) or for an id of another type,
    `ValueError` for an event name that is reserved or too long, `InvalidMessage` for a room name over the
    limits, or `ConfigurationError` for an unknown gateway. Then no client received it, except after
    `BrokerUnavailable`, where that is not known.

    Every coroutine method raises `RuntimeError` if it is awaited on another thread or event loop than
    the one that serves the clients: call the same method of `sync` there.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        presence: Presence,
        gateways: GatewayRegistry,
        publish_timeout: float,
        gateway: GatewayName | None = None,
    ) -> None:
        self._broker = broker
        self._presence = presence
        self._gateways = gateways
        self._timeout = publish_timeout
        self._gateway = gateway
        self._host = self
        self._unwritten = 0
        self._calls = LoopBridge()

    def of(self, gateway: str) -> Broadcaster:
        """The same broadcaster, narrowed to one gateway: a Socket.IO namespace or a WebSocket path.

        Raises:
            ConfigurationError: if no such gateway is mounted.
        """
        narrowed = Broadcaster(
            broker=self._broker,
            presence=self._presence,
            gateways=self._gateways,
            publish_timeout=self._timeout,
            gateway=self._named(gateway),
        )
        narrowed._host = self._host
        narrowed._calls = self._calls
        return narrowed

    @property
    def gateway(self) -> str | None:
        """The gateway it is narrowed to: the first one mounted, or the one that `of` named. None: there is none."""
        return self._gateway

    @property
    def sync(self) -> SyncBroadcaster:
        """The same methods for threads: sync routes, Flask views, workers."""
        return SyncBroadcaster(self, self._calls)

    @property
    def running(self) -> bool:
        """Whether the event loop that the gateway serves on is running."""
        return self._calls.running

    @property
    def loop_bridge(self) -> LoopBridge:
        """How threads reach the event loop, for other faces such as `SyncConnection`."""
        return self._host._calls

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Tell which event loop, that of this thread, the gateway runs on. Done at start-up."""
        self._calls.bind(loop)

    def unbind(self) -> None:
        """The gateway has stopped: calls through `sync` raise from now on, and threads that wait in one are let go."""
        self._calls.unbind()

    async def broadcast_to_room(
        self,
        room: Id,
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: Id | Iterable[Id] | None = None,
        volatile: bool = False,
        key: Id | None = None,
    ) -> Receipt:
        """Send an event to everybody in a room.

        Without `data` (`msgspec.UNSET`) the event has no payload. None is a payload: JSON's `null`.
        `except_` leaves out connections by id. A volatile event skips history and may be dropped
        for clients that are behind. The same `key` again within the history's lifetime sends
        nothing and returns the first receipt.
        """
        target = ToRoom(self._room(room, self._named(gateway)))
        return await self._publish(target, event, data, gateway, except_, volatile, key)

    async def broadcast_to_user(
        self,
        user_id: Id,
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: Id | Iterable[Id] | None = None,
        volatile: bool = False,
        key: Id | None = None,
    ) -> Receipt:
        """Send an event to every connection of a user. Options as in `broadcast_to_room`."""
        return await self._publish(ToUsers((_user(user_id),)), event, data, gateway, except_, volatile, key)

    async def broadcast_to_users(
        self,
        user_ids: Iterable[Id],
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: Id | Iterable[Id] | None = None,
        volatile: bool = False,
        key: Id | None = None,
    ) -> Receipt:
        """Send an event to every connection of some users, once each. Options as in `broadcast_to_room`."""
        users = tuple(map(UserId, id_texts(user_ids, "user_ids")))
        return await self._publish(ToUsers(users), event, data, gateway, except_, volatile, key)

    async def broadcast_to_all(
        self,
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: Id | Iterable[Id] | None = None,
        volatile: bool = False,
        key: Id | None = None,
    ) -> Receipt:
        """Send an event to every connection of the gateway. Options as in `broadcast_to_room`."""
        return await self._publish(ToAll(), event, data, gateway, except_, volatile, key)

    async def add_user_to_room(
        self, user_id: Id, room: Id, *, parent: Id | None = None, gateway: str | None = None
    ) -> None:
        """Put every connection of a user into a room. Leaving `parent` later takes this room along."""
        name = self._named(gateway)
        above = None if parent is None else self._room(parent, name, "parent")
        await self._command(AddToRoom(name, _user(user_id), self._room(room, name), above))

    async def remove_user_from_room(self, user_id: Id, room: Id, *, gateway: str | None = None) -> None:
        """Take every connection of a user out of a room and of the rooms below it."""
        name = self._named(gateway)
        await self._command(RemoveFromRoom(name, _user(user_id), self._room(room, name)))

    async def close_room(self, room: Id, *, gateway: str | None = None) -> None:
        """Empty a room and the rooms below it."""
        name = self._named(gateway)
        await self._command(CloseRoom(name, self._room(room, name)))

    async def refresh_rooms(self, user_id: Id, *, gateway: str | None = None) -> None:
        """Ask the gateway's service again which rooms a user may see. Nothing reaches the user in between."""
        await self._command(RefreshRooms(self._named(gateway), ToUsers((_user(user_id),))), wait=True)

    async def refresh_members(self, room: Id, *, gateway: str | None = None) -> None:
        """`refresh_rooms` for everybody in a room."""
        name = self._named(gateway)
        await self._command(RefreshRooms(name, ToRoom(self._room(room, name))), wait=True)

    async def disconnect_user(
        self, user_id: Id, *, code: int = 1008, reason: str = "disconnected", gateway: str | None = None
    ) -> None:
        """Close every connection of a user, on the gateway named or on all of them.

        Raises:
            ValueError: for a code that must not be on the wire, such as 1005, 1006 or 99.
        """
        check_close("disconnect_user()", code, reason)
        name = None if gateway is None else self._named(gateway)
        await self._command(DisconnectUser(name, _user(user_id), code, reason))

    async def take_over(
        self, connection: Connection, event: str, data: Any = UNSET, *, code: int = 1008, reason: str = "replaced"
    ) -> None:
        """Make a connection its user's only one: those that took over before, anywhere, get `event` and are closed.

        For gateways that allow one device at a time: each connection does it once, in `on_connect`.

        Raises:
            ValueError: for a code that must not be on the wire, such as 1005, 1006 or 99.
        """
        event = self._gateways[connection.gateway].dialect.event_name(event)
        check_close("take_over()", code, reason)
        payload, _ = encode(data)
        command = TakeOver(
            gateway=connection.gateway,
            user_id=connection.identity.user_id,
            connection_id=connection.id,
            event=event,
            payload=payload,
            code=code,
            reason=reason,
        )
        await self._command(command)

    async def revoke_token(self, jti: Id) -> None:
        """Refuse the token with this `jti` from now on, and cut its connections."""
        await self._command(RevokeToken(id_text(jti, "jti")))

    async def revoke_user(self, user_id: Id) -> None:
        """Refuse every token of a user issued up to now, and cut the user's connections."""
        await self._command(RevokeUser(_user(user_id), time.time()))

    async def online_users(self, *, gateway: str | None = None) -> set[str]:
        """The users who are online, on every process."""
        self._calls.check()
        return set(await self._presence.online(self._named(gateway)))

    async def is_online(self, user_id: Id, *, gateway: str | None = None) -> bool:
        """Whether a user is online, on any process."""
        self._calls.check()
        return await self._presence.is_online(self._named(gateway), _user(user_id))

    async def position(self, room: Id, *, gateway: str | None = None) -> Position:
        """The newest place in the history that a room belongs to: all rooms of a gateway share one.

        Ask for it before you read a snapshot from your database. Every broadcast after this place may be missing in
        the snapshot, and none before it is, if your app saves first and broadcasts then.

        Raises:
            BrokerUnavailable: the broker did not answer within `MEW_PUBLISH_TIMEOUT`.
        """
        self._calls.check()
        name = self._named(gateway)
        self._room(room, name)
        try:
            return await in_time(self._timeout, self._broker.position(name))
        except TimeoutError:
            raise self._unanswered() from None

    def _unanswered(self) -> BrokerUnavailable:
        return BrokerUnavailable(f"the broker did not answer within MEW_PUBLISH_TIMEOUT ({self._timeout} s)")

    def _named(self, gateway: str | None) -> GatewayName:
        name = self._gateway
        if gateway is not None:
            name = GatewayName("" if gateway == "" else id_text(gateway, "gateway"))
        if name is None or name not in self._gateways:
            mounted = ", ".join(self._gateways) or "none"
            raise ConfigurationError(
                f"no gateway {name!r} is mounted (there are: {mounted}); see RealtimeMiddleware(gateways=)"
            )
        return name

    def _room(self, room: Id, gateway: GatewayName, argument: str = "room") -> RoomName:
        return RoomName(room_text(room, self._gateways[gateway].limits, argument))

    async def _publish(
        self,
        target: Target,
        event: str,
        data: Any,
        gateway: str | None,
        except_: Id | Iterable[Id] | None,
        volatile: bool,
        key: Id | None,
    ) -> Receipt:
        name = self._named(gateway)
        dialect = self._gateways[name].dialect
        event = dialect.event_name(event)
        payload, attachments = encode(data)
        if attachments and not dialect.binary:
            raise TypeError(f"{event}: {name} carries JSON and no bytes; encode them, as base64 text say")
        publication = Publication(
            gateway=name,
            target=target,
            event=event,
            payload=payload,
            attachments=attachments,
            except_=_connections(except_),
            volatile=volatile,
        )
        return await self.publish(publication, key=None if key is None else id_text(key, "key"))

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Publish what is encoded already. The other methods end here."""
        self._calls.check()
        event = publication.event
        limits = self._gateways[publication.gateway].limits
        if len(event) > limits.event_name_bytes:
            raise ValueError(f"event is over MEW_EVENT_NAME_BYTES ({limits.event_name_bytes}): {event[:40]!r}…")
        size = len(publication.payload) + sum(map(len, publication.attachments))
        if size > limits.publication_bytes:
            raise PayloadTooLarge(
                f"{event}: {size} bytes are over MEW_PUBLICATION_BYTES ({limits.publication_bytes}); send a link"
            )
        try:
            receipt = await in_time(self._timeout, self._broker.publish(publication, key=key))
        except TimeoutError:
            raise BrokerUnavailable(
                f"{event}: the broker did not answer within MEW_PUBLISH_TIMEOUT ({self._timeout} s)"
            ) from None
        await self._host._take_turns(size)
        return receipt

    async def _take_turns(self, size: int) -> None:
        """Let the writers write: a host that broadcasts in a loop would fill the outbox of every client otherwise."""
        self._unwritten += size
        if self._unwritten >= _TURN_BYTES:
            self._unwritten = 0
            await asyncio.sleep(0)

    async def _command(self, command: Command, *, wait: bool = False) -> None:
        self._calls.check()
        try:
            # A refresh waits for the host's database, which has a limit of its own (`handler_timeout`).
            async with asyncio.timeout(None if wait else self._timeout):
                await self._broker.command(command)
        except TimeoutError:
            raise self._unanswered() from None


def _user(user_id: Id) -> UserId:
    return UserId(id_text(user_id, "user_id"))


def _connections(ids: Id | Iterable[Id] | None) -> tuple[ConnectionId, ...]:
    """The connections that a broadcast leaves out."""
    if ids is None or ids == ():
        return ()
    if isinstance(ids, str) or not isinstance(ids, Iterable):
        return (ConnectionId(id_text(ids, "except_")),)
    return tuple(map(ConnectionId, id_texts(ids, "except_")))
