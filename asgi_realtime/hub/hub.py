"""This process's connections and rooms, and the fan-out to them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable
from threading import get_ident
from typing import Any

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.contracts import HostCallback
from asgi_realtime.connection.positions import GatewayPositions
from asgi_realtime.errors import RateLimited, Unauthorized
from asgi_realtime.hub.answers import answer
from asgi_realtime.hub.apply_commands import end_connections, move, take_over
from asgi_realtime.hub.batch import Batch, CallSoon
from asgi_realtime.hub.deliver import deliver
from asgi_realtime.hub.inspections import Inspections
from asgi_realtime.hub.joins import Joins
from asgi_realtime.hub.mounts import Mount, Mounts, RecipientFilter, Request
from asgi_realtime.hub.replies import PendingReplies
from asgi_realtime.hub.resync_event import resync_members
from asgi_realtime.hub.room_refresh import Refresher, RoomsOf
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.hub.sent_frames import SentFrames
from asgi_realtime.hub.subscriptions import GatewaySubscriptions, Subscriptions
from asgi_realtime.limits import Limits
from asgi_realtime.metrics import Meter
from asgi_realtime.metrics.declarations import BROADCAST_RECIPIENTS, CONNECTIONS, SUBSCRIPTIONS
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.loop_bridge import ELSEWHERE
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.values.commands import (
    AddToRoom,
    CloseRoom,
    Command,
    EndsConnections,
    RefreshRooms,
    RemoveFromRoom,
    TakeOver,
)
from asgi_realtime.values.ids import GatewayName, Id, RoomName
from asgi_realtime.values.inspections import Inspection, Load
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Position, Publication, Subscription, ToAll, ToRoom, ToUsers
from asgi_realtime.values.questions import NodeAnswer, Question


class Hub:
    """Receives publications and commands from the broker, and owns the connections and rooms of this process.

    All changes of membership go through the hub, for every dialect.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        revocations: Revocations,
        tasks: Tasks,
        meter: Meter,
        broker_timeout: float,
        call_soon: CallSoon | None = None,
    ) -> None:
        """Make the hub of a process.

        Args:
            broker: the hub subscribes there, and reads history from it.
            revocations: the revoked credentials.
            tasks: owns the tasks that wait for the host or the broker.
            meter: counts and measures.
            broker_timeout: seconds the broker may take to answer. Then `BrokerUnavailable`.
            call_soon: calls a function at the end of the tick. Default: the running loop's `call_soon`.
        """
        self._broker = broker
        self._broker_timeout = broker_timeout
        self._revocations = revocations
        self._meter = meter
        self._mounts = Mounts()
        self._tasks = tasks
        self._call_soon = call_soon
        self.thread: int | None = None
        """The id of the event loop's thread. None: the hub has not started."""
        self._sent = SentFrames(meter) if meter.on else None
        self._batch = Batch(call_soon, self._sent)
        self._inspections = Inspections(self._mounts)
        self.replies = PendingReplies(broker)
        """The calls that wait for acknowledgements of clients."""
        self._refresher = Refresher(tasks, self._until_subscribed)
        self._joins = self._new_joins()
        self._subscriptions = self._new_subscriptions()
        if self._subscriptions is not None:
            meter.gauge(SUBSCRIPTIONS, lambda: self.subscriptions)

    def _new_subscriptions(self) -> Subscriptions | None:
        """The subscriptions of this process. None: the broker needs none."""
        if not self._broker.needs_subscriptions:
            return None
        return Subscriptions(
            broker=self._broker,
            members=self._mounts,
            tasks=self._tasks,
            meter=self._meter,
            timeout=self._broker_timeout,
        )

    def _new_joins(self) -> Joins:
        return Joins(
            self._mounts,
            broker=self._broker,
            broker_timeout=self._broker_timeout,
            until_subscribed=self._until_subscribed,
            is_subscribed=self._is_subscribed,
        )

    def _new_rooms(self, gateway: GatewayName) -> Rooms:
        subscriptions = self._subscriptions
        return Rooms() if subscriptions is None else Rooms(GatewaySubscriptions(subscriptions, gateway))

    def start(self) -> None:
        """Begin on the running event loop. Connections of an earlier loop are dropped."""
        self.thread = get_ident()
        self._subscriptions = self._new_subscriptions()
        for name, mount in self._mounts.items():
            for connection in mount.rooms.everybody:
                connection.set_closed()
            mount.rooms = self._new_rooms(name)
        self._joins = self._new_joins()
        self._batch = Batch(self._call_soon, self._sent)
        self._refresher = Refresher(self._tasks, self._until_subscribed)

    def stop(self) -> None:
        """Stop unsubscribing: the broker is about to stop."""
        if self._subscriptions is not None:
            self._subscriptions.stop()

    def check_thread(self) -> None:
        """Raise if the caller is not on the event loop's thread: connections are not thread-safe.

        Raises:
            RuntimeError: the message says what to call instead.
        """
        if self.thread is not None and get_ident() != self.thread:
            raise RuntimeError(ELSEWHERE)

    def mount(
        self,
        gateway: GatewayName,
        dialect: Dialect,
        limits: Limits,
        rooms_of: RoomsOf | None = None,
        recipient_filter: RecipientFilter | None = None,
        positions: GatewayPositions | None = None,
    ) -> None:
        """Register a gateway.

        `rooms_of` calls the host for the rooms of an identity. `recipient_filter` decides which connections get a
        publication. `positions` is for recovery. None: the gateway has none.
        """
        delivered = self._meter.histogram(BROADCAST_RECIPIENTS, gateway=gateway) if self._meter.on else None
        rooms = self._new_rooms(gateway)
        mount = Mount(dialect, limits, rooms, rooms_of, recipient_filter, positions, delivered)
        self._mounts[gateway] = mount
        self._meter.gauge(CONNECTIONS, lambda: len(mount.rooms), gateway=gateway)

    def unmount(self, gateway: GatewayName) -> bool:
        """Forget a gateway without connections. False: it stays, because a broker or metrics would keep its name."""
        if self._subscriptions is not None or self._meter.on:
            return False
        del self._mounts[gateway]
        return True

    def rooms(self, gateway: GatewayName) -> Rooms:
        """The rooms of a mounted gateway. Callers must not change them."""
        return self._mounts[gateway].rooms

    @property
    def subscriptions(self) -> int:
        """How many subscriptions this process has at the broker. 0 if the broker needs none.

        One for each room with members here, for each user and for each gateway with connections, and for those that
        had some recently (see `UNSUBSCRIBE_DELAY`).
        """
        return 0 if self._subscriptions is None else len(self._subscriptions)

    @property
    def pending_subscriptions(self) -> int:
        """How many subscriptions are requested at the broker, or have failed while they still have members."""
        return 0 if self._subscriptions is None else self._subscriptions.pending

    def _until_subscribed(self, connection: InternalConnection, rooms: Iterable[RoomName]) -> Awaitable[None] | None:
        """An awaitable that ends when rooms are subscribed. None: they are already."""
        return self._subscribing(connection, map(ToRoom, rooms))

    def _subscribing(
        self, connection: InternalConnection, targets: Iterable[ToRoom | ToUsers | ToAll]
    ) -> Awaitable[None] | None:
        if self._subscriptions is None:
            return None
        wanted = [Subscription(connection.gateway, target) for target in targets]
        waiting = self._subscriptions.until_subscribed(wanted)
        return waiting if waiting is None or connection.positions is None else connection.positions.after(waiting)

    def _is_subscribed(self, connection: InternalConnection, room: RoomName) -> bool:
        """Whether a connection may enter a room without waiting for the broker."""
        subscriptions = self._subscriptions
        return subscriptions is None or subscriptions.is_subscribed(Subscription(connection.gateway, ToRoom(room)))

    # Fan-out

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients in this process. Returns their number. See `hub.deliver`."""
        mount = self._mounts.get(publication.gateway)
        if mount is None:
            return 0
        recipients = deliver(publication, mount, self._batch)
        if mount.delivered is not None:
            mount.delivered.observe(recipients)
        return recipients

    def frames_for(self, connection: InternalConnection, publications: Iterable[Publication]) -> list[Frame]:
        """The frames of publications from history for one connection that missed them."""
        return self._mounts[connection.gateway].frames_for(connection, publications)

    def sink_changed(self, connection: InternalConnection) -> None:
        """The sink of a connection has changed: see `outbound.sink`."""
        self._mounts[connection.gateway].rooms.sink_changed(connection)

    def flush(self) -> None:
        """Write the broadcasts that wait for the end of the tick. Called before anything else is written."""
        self._batch.flush()

    # Membership

    def add(self, connection: InternalConnection) -> None:
        """Add an authenticated connection. Await `until_subscribed` before the client is accepted.

        Raises:
            RateLimited: if the user has as many connections as the limit allows.
            Unauthorized: if the credentials have been revoked.
        """
        mount = self._mounts[connection.gateway]
        if len(mount.rooms.of_user(connection.identity.user_id)) >= mount.limits.connections_per_user:
            raise RateLimited("too many connections", log_reason="too many connections of one user")
        if self._revocations.is_revoked(connection.identity):
            raise Unauthorized(log_reason="the token is revoked")  # while an authenticator was still at work
        mount.rooms.add(connection)

    def until_subscribed(
        self, connection: InternalConnection, rooms: Iterable[RoomName] = ()
    ) -> Awaitable[None] | None:
        """An awaitable that ends when publications to the connection's user, to all, and to rooms are delivered.

        None: they are.

        The awaitable raises `BrokerUnavailable` if the broker did not accept the subscriptions.
        """
        user = ToUsers((connection.identity.user_id,))
        return self._subscribing(connection, [user, ToAll(), *map(ToRoom, rooms)])

    def remove(self, connection: InternalConnection) -> None:
        """Remove a connection and its memberships. A second call does nothing."""
        mount = self._mounts[connection.gateway]
        self._refresher.cancel(connection)
        mount.rooms.remove(connection)

    def join(
        self,
        connection: InternalConnection,
        room: Id,
        parent: Id | None,
        *,
        allowed: HostCallback | None = None,
        latest: str | None = None,
        known: HostCallback | None = None,
        since: str | None = None,
    ) -> Coroutine[Any, Any, None]:
        """Put a connection into a room; it receives the room's events from now on. See `Connection.join`."""
        return self._joins.join(connection, room, parent, allowed=allowed, latest=latest, known=known, since=since)

    async def leave(self, connection: InternalConnection, room: Id) -> None:
        """Take a connection out of a room and the rooms below it. Joins of these rooms that are pending end too."""
        await self._joins.leave(connection, room)

    # Commands of the cluster

    def subscription_for(self, command: Command) -> Subscription | None:
        """What must be subscribed to before a command; see `BrokerReceiver.subscription_for`."""
        subscriptions = self._subscriptions
        if subscriptions is None or not isinstance(command, AddToRoom):
            return None
        mount = self._mounts.get(command.gateway)
        if mount is None or not mount.rooms.of_user(command.user_id):
            return None
        subscription = Subscription(command.gateway, ToRoom(command.room))
        return None if subscriptions.is_subscribed(subscription) else subscription

    def apply(self, command: Command, position: Position | None = None) -> Awaitable[object] | None:
        """Carry out a command in this process. Returns an awaitable if it must wait for the host."""
        self._batch.flush()
        if isinstance(command, EndsConnections):
            end_connections(command, self._mounts, self._revocations, self._tasks)
            return None
        mount = self._mounts.get(command.gateway)
        if mount is None:
            return None
        if isinstance(command, TakeOver):
            take_over(command, mount)
            return None
        if isinstance(command, RefreshRooms):
            connections = mount.rooms.recipients(command.target).connections
            if mount.rooms_of is None or not connections:
                return None
            # The refreshes begin in this call, so that these connections are held before the next publication.
            return asyncio.gather(*[self.refresh(connection) for connection in connections])
        if isinstance(command, CloseRoom):
            self._joins.withdraw(command)
            mount.rooms.close(command.room)
            self._refresher.repeat(mount.rooms.everybody, functools.partial(move, command, mount.rooms))
        else:
            if isinstance(command, RemoveFromRoom):
                self._joins.withdraw(command)
            connections = mount.rooms.of_user(command.user_id)
            for connection in connections:
                move(command, mount.rooms, connection)
            self._refresher.repeat(connections, functools.partial(move, command, mount.rooms))
        return None

    # Acknowledgements and questions

    def on_request(self, gateway: GatewayName, request: Request) -> None:
        """Publications of a mounted gateway that ask for acknowledgements are sent by this function."""
        self._mounts[gateway].request = request

    def numbered(self, gateway: GatewayName, position: Position) -> None:
        """Positions are the concern of recovery."""

    def acknowledged(self, number: int, values: list[Json]) -> None:
        """A client of any process has acknowledged a publication of this process."""
        self.replies.acknowledged(number, values)

    def answer(self, question: Question) -> NodeAnswer:
        """Answer a question about the connections of this process."""
        if isinstance(question, Inspection):
            return self._inspections.answer(question)
        return answer(question, self._mounts)

    def on_load(self, measure: Callable[[], Load]) -> None:
        """The load of this process, for the console, is measured by this function."""
        self._inspections.measure = measure

    def resync(self, gateway: GatewayName, subscriptions: Collection[Subscription] | None) -> None:
        """Send the members of targets the event that events may be missing; see `BrokerReceiver.resync`.

        If commands may be missing, the host is called again for the rooms of every connection of the gateway.
        """
        mount = self._mounts.get(gateway)
        if mount is None:
            return
        for target in [ToAll()] if subscriptions is None else [each.target for each in subscriptions]:
            resync_members(mount, target, self._batch)
        if subscriptions is None and mount.rooms_of is not None:
            for connection in mount.rooms.everybody:
                self.refresh(connection)

    async def enter(self, connection: InternalConnection) -> None:
        """Call the host for the rooms of a new connection, and put it into them.

        Raises what the host raised.
        """
        await self._refresher.enter(*self._question(connection))

    def refresh(self, connection: InternalConnection) -> Awaitable[None]:
        """Call the host for a connection's rooms, and put it into them. The connection is held until then.

        If the host fails, the connection is closed, because its rooms are not known.
        """
        return self._refresher.start(*self._question(connection))

    def _question(self, connection: InternalConnection) -> tuple[InternalConnection, Rooms, RoomsOf, float]:
        mount = self._mounts[connection.gateway]
        if mount.rooms_of is None:
            raise RuntimeError(f"the gateway {connection.gateway} was mounted without rooms_of")
        return connection, mount.rooms, mount.rooms_of, mount.limits.handler_timeout
