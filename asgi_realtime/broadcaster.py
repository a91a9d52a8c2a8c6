"""What host code holds: one object to send events with."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import UNSET

from asgi_realtime.broker.base import Broker
from asgi_realtime.catalogue import encode
from asgi_realtime.connection import Connection, Dialect
from asgi_realtime.errors import BrokerUnavailable, ConfigurationError, PayloadTooLarge
from asgi_realtime.limits import Limits, check_room_name
from asgi_realtime.loop_calls import LoopCalls
from asgi_realtime.messages import (
    AddToRoom,
    CloseRoom,
    Command,
    ConnectionId,
    DisconnectUser,
    GatewayName,
    Publication,
    Receipt,
    RefreshRooms,
    RemoveFromRoom,
    RevokeToken,
    RevokeUser,
    RoomName,
    TakeOver,
    Target,
    ToAll,
    ToRoom,
    ToUsers,
    UserId,
)
from asgi_realtime.presence.base import Presence
from asgi_realtime.sync_broadcaster import SyncBroadcaster
from asgi_realtime.tasks import in_time

_TURN_BYTES = 65_536
"""So much is broadcast before the event loop has a turn, if nothing else gave it one."""


class Broadcaster:
    """Sends events to rooms, users or everybody of a gateway, on every process.

    Events go to the first gateway mounted unless `gateway=` or `of()` names another: rooms belong
    to a gateway. What one coroutine awaits one after the other arrives in that order, membership
    changes included: after `remove_user_from_room` returns, no later broadcast reaches that user there.

    Every broadcast raises `PayloadTooLarge`, `BrokerUnavailable`, `TypeError` for a payload that is
    not JSON (or has `bytes` in it, for a WebSocket gateway), or `ConfigurationError` for an unknown
    gateway; then nobody received it (but for `BrokerUnavailable`, where nobody can say).

    Every coroutine method raises `RuntimeError` if it is awaited on another thread or event loop than
    the one that serves the clients: call the same method of `sync` there.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        presence: Presence,
        gateways: Mapping[GatewayName, Dialect],
        limits: Limits,
        publish_timeout: float,
        gateway: GatewayName | None = None,
    ) -> None:
        self._broker = broker
        self._presence = presence
        self._gateways = gateways
        self._limits = limits
        self._timeout = publish_timeout
        self._gateway = gateway
        self._host = self
        self._unwritten = 0
        self._calls = LoopCalls()

    def of(self, gateway: str) -> Broadcaster:
        """The same broadcaster, narrowed to one gateway: a Socket.IO namespace or a WebSocket path.

        Raises:
            ConfigurationError: if no such gateway is mounted.
        """
        narrowed = Broadcaster(
            broker=self._broker,
            presence=self._presence,
            gateways=self._gateways,
            limits=self._limits,
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
    def loop_calls(self) -> LoopCalls:
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
        room: str,
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: str | Iterable[str] = (),
        volatile: bool = False,
        key: str | None = None,
    ) -> Receipt:
        """Send an event to everybody in a room.

        Without `data` (`msgspec.UNSET`) the event has no payload. None is a payload: JSON's `null`.
        `except_` leaves out connections by id. A volatile event skips history and may be dropped
        for clients that are behind. The same `key` again within the history's lifetime sends
        nothing and returns the first receipt.
        """
        check_room_name(room, self._limits)
        return await self._publish(ToRoom(RoomName(room)), event, data, gateway, except_, volatile, key)

    async def broadcast_to_user(
        self,
        user_id: str,
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: str | Iterable[str] = (),
        volatile: bool = False,
        key: str | None = None,
    ) -> Receipt:
        """Send an event to every connection of a user. Options as in `broadcast_to_room`."""
        return await self._publish(ToUsers((UserId(user_id),)), event, data, gateway, except_, volatile, key)

    async def broadcast_to_users(
        self,
        user_ids: Iterable[str],
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: str | Iterable[str] = (),
        volatile: bool = False,
        key: str | None = None,
    ) -> Receipt:
        """Send an event to every connection of some users, once each. Options as in `broadcast_to_room`."""
        if isinstance(user_ids, str):
            raise TypeError("broadcast_to_users takes several user ids; for one there is broadcast_to_user")
        users = tuple(dict.fromkeys(UserId(user_id) for user_id in user_ids))
        return await self._publish(ToUsers(users), event, data, gateway, except_, volatile, key)

    async def broadcast_to_all(
        self,
        event: str,
        data: Any = UNSET,
        *,
        gateway: str | None = None,
        except_: str | Iterable[str] = (),
        volatile: bool = False,
        key: str | None = None,
    ) -> Receipt:
        """Send an event to every connection of the gateway. Options as in `broadcast_to_room`."""
        return await self._publish(ToAll(), event, data, gateway, except_, volatile, key)

    async def add_user_to_room(
        self, user_id: str, room: str, *, parent: str | None = None, gateway: str | None = None
    ) -> None:
        """Put every connection of a user into a room. Leaving `parent` later takes this room along."""
        check_room_name(room, self._limits)
        above = None if parent is None else RoomName(parent)
        await self._command(AddToRoom(self._named(gateway), UserId(user_id), RoomName(room), above))

    async def remove_user_from_room(self, user_id: str, room: str, *, gateway: str | None = None) -> None:
        """Take every connection of a user out of a room and of the rooms below it."""
        await self._command(RemoveFromRoom(self._named(gateway), UserId(user_id), RoomName(room)))

    async def close_room(self, room: str, *, gateway: str | None = None) -> None:
        """Empty a room and the rooms below it."""
        await self._command(CloseRoom(self._named(gateway), RoomName(room)))

    async def refresh_rooms(self, user_id: str, *, gateway: str | None = None) -> None:
        """Ask the gateway's service again which rooms a user may see. Nothing reaches the user in between."""
        await self._command(RefreshRooms(self._named(gateway), ToUsers((UserId(user_id),))), wait=True)

    async def refresh_members(self, room: str, *, gateway: str | None = None) -> None:
        """`refresh_rooms` for everybody in a room."""
        await self._command(RefreshRooms(self._named(gateway), ToRoom(RoomName(room))), wait=True)

    async def disconnect_user(
        self, user_id: str, *, code: int = 1008, reason: str = "disconnected", gateway: str | None = None
    ) -> None:
        """Close every connection of a user, on the gateway named or on all of them."""
        name = None if gateway is None else self._named(gateway)
        await self._command(DisconnectUser(name, UserId(user_id), code, reason))

    async def take_over(
        self, connection: Connection, event: str, data: Any = UNSET, *, code: int = 1008, reason: str = "replaced"
    ) -> None:
        """Make a connection its user's only one: those that took over before, anywhere, get `event` and are closed.

        For gateways that allow one device at a time: each connection does it once, in `on_connect`.
        """
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

    async def revoke_token(self, jti: str) -> None:
        """Refuse the token with this `jti` from now on, and cut its connections."""
        await self._command(RevokeToken(jti))

    async def revoke_user(self, user_id: str) -> None:
        """Refuse every token of a user issued up to now, and cut the user's connections."""
        await self._command(RevokeUser(UserId(user_id), time.time()))

    async def online_users(self, *, gateway: str | None = None) -> set[str]:
        """The users who are online, on every process."""
        self._calls.check()
        return set(await self._presence.online(self._named(gateway)))

    async def is_online(self, user_id: str, *, gateway: str | None = None) -> bool:
        """Whether a user is online, on any process."""
        self._calls.check()
        return await self._presence.is_online(self._named(gateway), UserId(user_id))

    def _named(self, gateway: str | None) -> GatewayName:
        name = self._gateway if gateway is None else GatewayName(gateway)
        if name is None or name not in self._gateways:
            mounted = ", ".join(self._gateways) or "none"
            raise ConfigurationError(
                f"no gateway {name!r} is mounted (there are: {mounted}); see RealtimeMiddleware(gateways=)"
            )
        return name

    async def _publish(
        self,
        target: Target,
        event: str,
        data: Any,
        gateway: str | None,
        except_: str | Iterable[str],
        volatile: bool,
        key: str | None,
    ) -> Receipt:
        name = self._named(gateway)
        payload, attachments = encode(data)
        if attachments and not self._gateways[name].binary:
            raise TypeError(f"{event}: {name} carries JSON and no bytes; encode them, as base64 text say")
        left_out = (except_,) if isinstance(except_, str) else tuple(except_)
        publication = Publication(
            gateway=name,
            target=target,
            event=event,
            payload=payload,
            attachments=attachments,
            except_=tuple(map(ConnectionId, left_out)),
            volatile=volatile,
        )
        return await self.publish(publication, key=key)

    async def publish(self, publication: Publication, *, key: str | None = None) -> Receipt:
        """Publish what is encoded already. The other methods end here."""
        self._calls.check()
        event = publication.event
        size = len(publication.payload) + sum(map(len, publication.attachments))
        if size > self._limits.publication_bytes:
            raise PayloadTooLarge(
                f"{event}: {size} bytes are over MEW_PUBLICATION_BYTES ({self._limits.publication_bytes}); send a link"
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
            raise BrokerUnavailable(
                f"the broker did not answer within MEW_PUBLISH_TIMEOUT ({self._timeout} s)"
            ) from None
