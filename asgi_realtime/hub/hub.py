"""This process's connections and rooms, and the fan-out to them."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Sequence
from threading import get_ident
from typing import TypeAlias

from asgi_realtime.auth.revocations import Revocations
from asgi_realtime.broker.base import Broker
from asgi_realtime.connection.connection import NO_ROOM, Connection, Question
from asgi_realtime.errors import Forbidden, InvalidMessage, RateLimited, Unauthorized
from asgi_realtime.hub.batch import Batch, Soon
from asgi_realtime.hub.pending_joins import PendingJoins
from asgi_realtime.hub.recipients import Recipients
from asgi_realtime.hub.refresh import Refresher, RoomsOf
from asgi_realtime.hub.rooms import Rooms
from asgi_realtime.limits import Limits, room_text
from asgi_realtime.metrics import Metrics
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.host_calls import call_host
from asgi_realtime.runtime.loop_bridge import ELSEWHERE
from asgi_realtime.runtime.tasks import Tasks
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
from asgi_realtime.values.ids import GatewayName, Id, RoomName, id_text
from asgi_realtime.values.publications import Position, Publication, ToRoom

NO_ENTRY = "you may not enter this room"

Choose: TypeAlias = Callable[[Publication, Sequence[Connection]], Sequence[Connection]]
"""Says which of the recipients get a publication, at the moment of its delivery. Must not wait."""


class _Mount:
    """A gateway as the hub knows it."""

    __slots__ = ("choose", "dialect", "limits", "rooms", "rooms_of")

    def __init__(self, dialect: Dialect, limits: Limits, rooms_of: RoomsOf | None, choose: Choose | None) -> None:
        self.dialect = dialect
        self.limits = limits
        self.rooms_of = rooms_of
        self.choose = choose
        self.rooms = Rooms()

    def frame(self, publication: Publication) -> Frame:
        """A publication as its recipients read it."""
        return self.dialect.event(publication.event, publication.payload, publication.attachments)


class Hub:
    """The receiving end of the broker, and the one place that knows who is in which room.

    Everything that changes membership goes through here, for every dialect.
    """

    def __init__(
        self, *, broker: Broker, revocations: Revocations, tasks: Tasks, metrics: Metrics, soon: Soon | None = None
    ) -> None:
        self._broker = broker
        self._revocations = revocations
        self._metrics = metrics
        self._mounts: dict[GatewayName, _Mount] = {}
        self._tasks = tasks
        self._soon = soon
        self.thread: int | None = None
        """The thread of the event loop it runs on; None: it has not started."""
        self._batch = Batch(soon)
        self._refresher = Refresher(tasks)
        self._pending_joins = PendingJoins()

    def start(self) -> None:
        """Begin on the running event loop. Connections of a loop that ended before they did are forgotten."""
        self.thread = get_ident()
        for name, mount in self._mounts.items():
            for connection in mount.rooms.everybody:
                connection.shut()
            mount.rooms = Rooms()
            self._metrics.gauge("connections", 0, gateway=name)
        self._pending_joins = PendingJoins()
        self._batch = Batch(self._soon)
        self._refresher = Refresher(self._tasks)

    def check_thread(self) -> None:
        """Refuse a call from another thread than that of the event loop: connections are not safe there.

        Raises:
            RuntimeError: with what to call there.
        """
        if self.thread is not None and get_ident() != self.thread:
            raise RuntimeError(ELSEWHERE)

    def mount(
        self,
        gateway: GatewayName,
        dialect: Dialect,
        limits: Limits,
        rooms_of: RoomsOf | None = None,
        choose: Choose | None = None,
    ) -> None:
        """Make a gateway known.

        `rooms_of` asks the host for an identity's rooms, where there is such a host; `choose` has a
        say in who gets a publication, where a gateway wants one.
        """
        self._mounts[gateway] = _Mount(dialect, limits, rooms_of, choose)

    def rooms(self, gateway: GatewayName) -> Rooms:
        """The rooms of a mounted gateway, to look at."""
        return self._mounts[gateway].rooms

    # Fan-out

    def deliver(self, publication: Publication) -> int:
        """Write a publication to its recipients here. Returns how many there were.

        Encoded and framed once; then one write per recipient, at the end of the tick (see `Batch`).
        """
        mount = self._mounts.get(publication.gateway)
        if mount is None:
            return 0
        target = publication.target
        recipients = mount.rooms.recipients(target)
        chosen: Sequence[Connection] = recipients.connections
        if publication.except_ or publication.volatile:
            chosen = [
                connection
                for connection in chosen
                if connection.id not in publication.except_ and not (publication.volatile and connection.behind)
            ]
        if mount.choose is not None and chosen:
            chosen = mount.choose(publication, chosen)
        if not chosen:
            return 0
        if chosen is not recipients.connections:
            recipients = Recipients(tuple(chosen))
        frame = mount.frame(publication)
        room = target.room if type(target) is ToRoom else NO_ROOM
        self._batch.add(recipients, frame, room)
        return len(recipients)

    def sink_changed(self, connection: Connection) -> None:
        """The sink of a connection has changed: see `outbound.sink`."""
        self._mounts[connection.gateway].rooms.sink_changed(connection)

    def flush(self) -> None:
        """Write every broadcast that waits for the end of the tick: something else is about to be written."""
        self._batch.flush()

    # Membership

    def add(self, connection: Connection) -> None:
        """Admit an authenticated connection: its personal room is open from now on.

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
        self._metrics.gauge("connections", len(mount.rooms), gateway=connection.gateway)

    def remove(self, connection: Connection) -> None:
        """Forget a connection and its memberships."""
        mount = self._mounts[connection.gateway]
        self._refresher.cancel(connection)
        mount.rooms.remove(connection)
        self._metrics.gauge("connections", len(mount.rooms), gateway=connection.gateway)

    async def join(
        self,
        connection: Connection,
        room: Id,
        parent: Id | None,
        *,
        allowed: Question | None = None,
        latest: str | None = None,
        known: Question | None = None,
    ) -> None:
        """Put a connection into a room; it receives the room's events from now on. See `Connection.join`."""
        mount = self._mounts[connection.gateway]
        room = RoomName(room_text(room, mount.limits))
        parent = None if parent is None else RoomName(room_text(parent, mount.limits, "parent"))
        if latest is not None:
            latest = mount.dialect.event_name(latest)
        if room not in connection.rooms and len(connection.rooms) >= mount.limits.rooms_per_connection:
            raise InvalidMessage(f"a connection is in at most {mount.limits.rooms_per_connection} rooms")
        answer = asked_at = None
        if allowed is not None or known is not None:
            with self._pending_joins.asking(connection, room, parent) as entry:
                if allowed is not None and not await call_host(allowed):
                    raise Forbidden(NO_ENTRY)
                if known is not None:
                    asked_at = await self._broker.position(connection.gateway)
                    answer = await call_host(known)
            if entry.withdrawn:
                raise Forbidden(NO_ENTRY)
        if latest is None:
            mount.rooms.join(connection, room, parent)
            return
        first = None if answer is None else mount.dialect.event_args(latest, [answer])
        await self._follow(connection, room, parent, latest, first, asked_at if first else None)

    async def _follow(
        self,
        connection: Connection,
        room: RoomName,
        parent: RoomName | None,
        event: str,
        first: Frame | None,
        since: Position | None,
    ) -> None:
        """Put a connection into a room and write the newest `event`, or `first` if none is newer than `since`."""
        mount = self._mounts[connection.gateway]
        was_there = room in connection.rooms
        # Held from before the room is entered: what is published until history has been read may be in both.
        mark = connection.hold()
        try:
            await self.join(connection, room, parent)
            publication = await self._broker.latest(connection.gateway, room, event, since=since)
            if publication is not None and connection.id not in publication.except_:
                first = mount.frame(publication)
            if first is not None and room in connection.rooms:
                connection.insert(first, mark)
        except BaseException:
            if not was_there:
                mount.rooms.leave(connection, room)
            raise
        finally:
            connection.release()

    async def leave(self, connection: Connection, room: Id) -> None:
        """Take a connection out of a room and of the rooms below it."""
        self._mounts[connection.gateway].rooms.leave(connection, RoomName(id_text(room, "room")))

    # Commands of the cluster

    def apply(self, command: Command, position: Position | None = None) -> Awaitable[object] | None:
        """Carry out a command here: at once, but for a refresh, which waits for the host."""
        self._batch.flush()
        if isinstance(command, RevokeToken | RevokeUser | DisconnectUser):
            self._cut_off(command)
            return None
        mount = self._mounts.get(command.gateway)
        if mount is None:
            return None
        if isinstance(command, TakeOver):
            self._take_over(mount, command)
            return None
        if isinstance(command, RefreshRooms):
            connections = mount.rooms.recipients(command.target).connections
            if mount.rooms_of is None or not connections:
                return None
            # Asked now, in this call: whatever is published next finds these connections held.
            return asyncio.gather(*[self.refresh(connection) for connection in connections])
        if isinstance(command, CloseRoom):
            mount.rooms.close(command.room)
            self._pending_joins.withdraw(command)
            self._refresher.missed(mount.rooms.everybody, functools.partial(self._move, mount.rooms, command))
        else:
            connections = mount.rooms.of_user(command.user_id)
            for connection in connections:
                self._move(mount.rooms, command, connection)
            if isinstance(command, RemoveFromRoom):
                self._pending_joins.withdraw(command)
            self._refresher.missed(connections, functools.partial(self._move, mount.rooms, command))
        return None

    @staticmethod
    def _move(rooms: Rooms, command: AddToRoom | RemoveFromRoom | CloseRoom, connection: Connection) -> None:
        if isinstance(command, AddToRoom):
            rooms.join(connection, command.room, command.parent)
        else:
            rooms.leave(connection, command.room)

    @staticmethod
    def _take_over(mount: _Mount, command: TakeOver) -> None:
        last = mount.dialect.event(command.event, command.payload)
        for connection in mount.rooms.of_user(command.user_id):
            if connection.id == command.connection_id:
                connection.took_over = True
            elif connection.took_over:
                connection.end(command.code, command.reason, last)

    def _cut_off(self, command: RevokeToken | RevokeUser | DisconnectUser) -> None:
        if isinstance(command, RevokeToken):
            self._revocations.revoke_token(command.jti)
        elif isinstance(command, RevokeUser):
            self._revocations.revoke_user(command.user_id, command.issued_before)
        for name, mount in self._mounts.items():
            if isinstance(command, DisconnectUser):
                if command.gateway in (None, name):
                    for connection in mount.rooms.of_user(command.user_id):
                        connection.end(command.code, command.reason)
                continue
            everybody = (
                mount.rooms.everybody if isinstance(command, RevokeToken) else mount.rooms.of_user(command.user_id)
            )
            for connection in everybody:
                if self._revocations.is_revoked(connection.identity):
                    connection.end(1008, "credentials revoked")

    async def enter(self, connection: Connection) -> None:
        """Ask the host for the rooms of a connection that is being let in, and put it there.

        Raises whatever the host raised.
        """
        await self._refresher.enter(*self._question(connection))

    def refresh(self, connection: Connection) -> Awaitable[None]:
        """Ask the host for a connection's rooms and put it there; the connection is held until then.

        If the host fails, the connection is ended: what it may see is not known.
        """
        return self._refresher.start(*self._question(connection))

    def _question(self, connection: Connection) -> tuple[Connection, Rooms, RoomsOf, float]:
        mount = self._mounts[connection.gateway]
        if mount.rooms_of is None:
            raise RuntimeError(f"the gateway {connection.gateway} was mounted without rooms_of")
        return connection, mount.rooms, mount.rooms_of, mount.limits.handler_timeout
