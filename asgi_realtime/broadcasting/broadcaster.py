"""What host code holds: one object to send events with, from coroutines or from threads."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from msgspec import UNSET

from asgi_realtime.broadcasting.cluster_questions import ClusterQuestions, user
from asgi_realtime.broadcasting.gateway_registry import Addressable
from asgi_realtime.broadcasting.route_parameters import NoSchema
from asgi_realtime.broadcasting.standalone import standalone
from asgi_realtime.connection.contracts import AnyConnection
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.runtime import time_source
from asgi_realtime.runtime.loop_thread import LoopThread
from asgi_realtime.runtime.sync_proxy import SyncProxy, sync_method
from asgi_realtime.settings import Settings
from asgi_realtime.tracing import Tracing
from asgi_realtime.values.close_codes import check_close
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    DisconnectConnection,
    DisconnectMembers,
    DisconnectUser,
    RefreshRooms,
    RemoveFromRoom,
    RevokeToken,
    RevokeUser,
    TakeOver,
)
from asgi_realtime.values.ids import ConnectionId, Id, UserId, id_text, id_texts
from asgi_realtime.values.publications import Publication, Receipt, ToAll, ToRoom, ToUsers

if TYPE_CHECKING:
    from asgi_realtime.redis.ready_client import RedisClient

T = TypeVar("T")


class Broadcaster(ClusterQuestions):
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

    @classmethod
    @asynccontextmanager
    async def connect(
        cls,
        redis_url: str | None = None,
        *,
        redis: RedisClient | None = None,
        gateways: Sequence[Addressable] | None = None,
        settings: Settings | None = None,
        tracing: Tracing | None = None,
    ) -> AsyncIterator[Broadcaster]:
        """Send from a process that serves no clients: `async with Broadcaster.connect() as broadcaster`.

        Limits, errors and receipts are those of the app. A command, such as `add_user_to_room`, has returned when Redis
        has accepted it; every process carries it out before later broadcasts.

        Args:
            redis_url: the Redis of the app. Default: `MEW_REDIS_URL`.
            redis: a client of `redis.asyncio` for it, instead of a URL. Only its options are used.
            gateways: those of the app, in its order; broadcasts that name no gateway go to the first one. Names are
                enough: `[SocketIOGateway("/"), WebSocketGateway("/chat")]`. Default: the Socket.IO namespace `/`.
            settings: as in the app. Default: the environment variables.
            tracing: as in the app. Default: nothing is traced.

        Raises:
            ConfigurationError: without a URL and a client, with both, or for one that cannot be used.
            BrokerUnavailable: Redis cannot be reached within `MEW_PUBLISH_TIMEOUT`.
        """
        async with standalone(redis_url, redis, gateways, settings, tracing=tracing) as parts:
            yield cls(
                publisher=parts.publisher,
                presence=parts.presence,
                gateways=parts.gateways,
                loop_bridge=parts.loop_bridge,
                gateway=parts.gateways.first,
            )

    def of(self, gateway: str) -> Broadcaster:
        """The same broadcaster, narrowed to one gateway: a Socket.IO namespace or a WebSocket path.

        Raises:
            ConfigurationError: if no such gateway is mounted.
        """
        return Broadcaster(
            publisher=self._publisher,
            presence=self._presence,
            gateways=self._gateways,
            loop_bridge=self._loop_bridge,
            gateway=self._named(gateway),
        )

    @property
    def ready(self) -> bool:
        """Whether this process can serve clients: it has started, and Redis, if there is one, is connected.

        For the health check of a load balancer.
        """
        return self._publisher.ready

    @property
    def sync(self) -> SyncBroadcaster:
        """The same methods for threads: sync routes, Flask views, workers."""
        return SyncBroadcaster(self, self._loop_bridge)

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
        name = self._named(gateway)
        target = ToRoom(self._room(room, name))
        return await self._publisher.publish_event(name, target, event, data, except_, volatile, key)

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
        return await self._publisher.publish_event(
            self._named(gateway), ToUsers((user(user_id),)), event, data, except_, volatile, key
        )

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
        return await self._publisher.publish_event(
            self._named(gateway), ToUsers(users), event, data, except_, volatile, key
        )

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
        return await self._publisher.publish_event(self._named(gateway), ToAll(), event, data, except_, volatile, key)

    async def add_user_to_room(
        self, user_id: Id, room: Id, *, parent: Id | None = None, gateway: str | None = None
    ) -> None:
        """Put every connection of a user into a room. One that leaves `parent` later leaves this room too."""
        name = self._named(gateway)
        above = None if parent is None else self._room(parent, name, "parent")
        await self._publisher.command(AddToRoom(name, user(user_id), self._room(room, name), above))

    async def remove_user_from_room(self, user_id: Id, room: Id, *, gateway: str | None = None) -> None:
        """Take every connection of a user out of a room and of the rooms below it."""
        name = self._named(gateway)
        await self._publisher.command(RemoveFromRoom(name, user(user_id), self._room(room, name)))

    async def close_room(self, room: Id, *, gateway: str | None = None) -> None:
        """Empty a room and the rooms below it."""
        name = self._named(gateway)
        await self._publisher.command(CloseRoom(name, self._room(room, name)))

    async def refresh_rooms(self, user_id: Id, *, gateway: str | None = None) -> None:
        """Get the user's rooms from the gateway's service again. Events for the user are held back until it answers.

        Returns when it has answered on every process. A process that takes longer than 5 seconds is not awaited.
        """
        await self._publisher.command(RefreshRooms(self._named(gateway), ToUsers((user(user_id),))), wait=True)

    async def refresh_members(self, room: Id, *, gateway: str | None = None) -> None:
        """`refresh_rooms` for everybody in a room."""
        name = self._named(gateway)
        await self._publisher.command(RefreshRooms(name, ToRoom(self._room(room, name))), wait=True)

    async def disconnect_user(
        self, user_id: Id, *, code: int = 1008, reason: str = "disconnected", gateway: str | None = None
    ) -> None:
        """Close every connection of a user, on the gateway named or on all of them.

        Raises:
            ValueError: for a code that must not be on the wire, such as 1005, 1006 or 99.
        """
        check_close("disconnect_user()", code, reason)
        name = None if gateway is None else self._named(gateway)
        await self._publisher.command(DisconnectUser(name, user(user_id), code, reason))

    async def disconnect_members(
        self, room: Id, *, code: int = 1008, reason: str = "disconnected", gateway: str | None = None
    ) -> None:
        """Close every connection that is in a room. Errors as for `disconnect_user`."""
        check_close("disconnect_members()", code, reason)
        name = self._named(gateway)
        await self._publisher.command(DisconnectMembers(name, self._room(room, name), code, reason))

    async def disconnect_connection(
        self, connection_id: Id, *, code: int = 1008, reason: str = "disconnected", gateway: str | None = None
    ) -> None:
        """Close the connection with this id, on any process. Errors as for `disconnect_user`."""
        check_close("disconnect_connection()", code, reason)
        id = ConnectionId(id_text(connection_id, "connection_id"))
        await self._publisher.command(DisconnectConnection(self._named(gateway), id, code, reason))

    async def take_over(
        self, connection: AnyConnection, event: str, data: Any = UNSET, *, code: int = 1008, reason: str = "replaced"
    ) -> None:
        """Let a connection take over: its user's connections that did so earlier get `event` and are closed.

        This applies to every process. For gateways that allow one device at a time: call it once for each connection,
        at the end of `on_connect`. A connection that fails after it has ended the older ones all the same. To avoid
        that, call it in `Gateway.run_later` from `connection_opened`.

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
        await self._publisher.command(command)

    async def revoke_token(self, jti: Id) -> None:
        """Refuse the token with this `jti` from now on, and close its connections."""
        await self._publisher.command(RevokeToken(id_text(jti, "jti")))

    async def revoke_user(self, user_id: Id) -> None:
        """Refuse every token of a user issued up to now, and close the user's connections."""
        await self._publisher.command(RevokeUser(user(user_id), time_source.wall()))

    def publish(self, publication: Publication, *, key: str | None = None) -> Coroutine[Any, Any, Receipt]:
        """Publish what is encoded already."""
        return self._publisher.publish(publication, key=key)


class SyncBroadcaster(SyncProxy[Broadcaster], NoSchema):
    """`Broadcaster` for threads: each method has the same parameters and returns when the event loop has done the work.

    Each raises `RuntimeError` on the event loop's own thread, where it would wait for itself; before start-up;
    and after shutdown, which also ends the calls that are waiting.
    """

    __slots__ = ()

    @classmethod
    @contextmanager
    def connect(
        cls,
        redis_url: str | None = None,
        *,
        redis: RedisClient | None = None,
        gateways: Sequence[Addressable] | None = None,
        settings: Settings | None = None,
        tracing: Tracing | None = None,
    ) -> Iterator[SyncBroadcaster]:
        """Send from a synchronous program: `with SyncBroadcaster.connect() as broadcaster`. See `Broadcaster.connect`.

        It runs an event loop in a thread of its own. All threads of the process may use it. Each process needs its own:
        connect after a fork. In a process that was forked inside the block, every call raises `RuntimeError`.
        """
        connected = Broadcaster.connect(redis_url, redis=redis, gateways=gateways, settings=settings, tracing=tracing)
        with LoopThread(connected, name="SyncBroadcaster") as broadcaster:
            yield broadcaster.sync

    @property
    def asynchronous(self) -> Broadcaster:
        """The broadcaster for coroutines. A typed one is made of it: `MewBroadcaster(sync.asynchronous).sync`."""
        return self._target

    @property
    def gateway(self) -> str | None:
        """The gateway it is narrowed to. See `Broadcaster.gateway`."""
        return self._target.gateway

    @property
    def ready(self) -> bool:
        """Whether this process can serve clients. See `Broadcaster.ready`."""
        return self._target.ready

    @property
    def sync(self) -> SyncBroadcaster:
        """Itself, so that a handler may be written for either class."""
        return self

    def of(self, gateway: str) -> SyncBroadcaster:
        """The same, narrowed to one gateway."""
        return SyncBroadcaster(self._target.of(gateway), self._loop_bridge)

    broadcast_to_room = sync_method(Broadcaster.broadcast_to_room)
    broadcast_to_user = sync_method(Broadcaster.broadcast_to_user)
    broadcast_to_users = sync_method(Broadcaster.broadcast_to_users)
    broadcast_to_all = sync_method(Broadcaster.broadcast_to_all)
    add_user_to_room = sync_method(Broadcaster.add_user_to_room)
    remove_user_from_room = sync_method(Broadcaster.remove_user_from_room)
    close_room = sync_method(Broadcaster.close_room)
    refresh_rooms = sync_method(Broadcaster.refresh_rooms)
    refresh_members = sync_method(Broadcaster.refresh_members)
    disconnect_user = sync_method(Broadcaster.disconnect_user)
    disconnect_members = sync_method(Broadcaster.disconnect_members)
    disconnect_connection = sync_method(Broadcaster.disconnect_connection)
    take_over = sync_method(Broadcaster.take_over)
    revoke_token = sync_method(Broadcaster.revoke_token)
    revoke_user = sync_method(Broadcaster.revoke_user)
    online_users = sync_method(Broadcaster.online_users)
    is_online = sync_method(Broadcaster.is_online)
    connections = sync_method(Broadcaster.connections)
    room_size = sync_method(Broadcaster.room_size)
    nodes = sync_method(Broadcaster.nodes)
    position = sync_method(Broadcaster.position)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run any coroutine on the event loop, such as one of a typed broadcaster, and return its result.

        Raises:
            RuntimeError: from the event loop's own thread, before start-up, or after shutdown.
        """
        return self._run(work)
