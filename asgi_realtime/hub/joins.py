"""Puts connections into rooms and out of them: after the host's permission and the broker's subscription."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable

from asgi_realtime.broker.base import Broker
from asgi_realtime.broker.time_limit import answer_in_time
from asgi_realtime.connection.connection import InternalConnection
from asgi_realtime.connection.contracts import HostCallback
from asgi_realtime.errors import Forbidden, InvalidMessage
from asgi_realtime.hub.catch_up import catch_up, checked_position
from asgi_realtime.hub.mounts import Mounts
from asgi_realtime.hub.pending_joins import PendingJoins
from asgi_realtime.limits import room_text
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.host_calls import call_host
from asgi_realtime.values.commands import CloseRoom, RemoveFromRoom
from asgi_realtime.values.ids import Id, RoomName, id_text
from asgi_realtime.values.publications import Position

NO_ENTRY = "you may not enter this room"

UntilSubscribed = Callable[[InternalConnection, Iterable[RoomName]], Awaitable[None] | None]
"""An awaitable that ends when rooms are subscribed. None: they are already."""


class Joins:
    """The joins and leaves of the connections of this process.

    Args:
        mounts: the mounted gateways.
        broker: has the newest event of a room.
        broker_timeout: seconds the broker may take to answer. Then `BrokerUnavailable`.
        until_subscribed: see `UntilSubscribed`.
        is_subscribed: whether a connection may enter a room without waiting for the broker.
    """

    def __init__(
        self,
        mounts: Mounts,
        *,
        broker: Broker,
        broker_timeout: float,
        until_subscribed: UntilSubscribed,
        is_subscribed: Callable[[InternalConnection, RoomName], bool],
    ) -> None:
        self._mounts = mounts
        self._broker = broker
        self._broker_timeout = broker_timeout
        self._until_subscribed = until_subscribed
        self._is_subscribed = is_subscribed
        self._pending = PendingJoins()

    async def join(
        self,
        connection: InternalConnection,
        room: Id,
        parent: Id | None,
        *,
        allowed: HostCallback | None = None,
        latest: str | None = None,
        known: HostCallback | None = None,
        since: str | None = None,
    ) -> None:
        """Put a connection into a room; it receives the room's events from now on. See `Connection.join`."""
        mount = self._mounts[connection.gateway]
        room = RoomName(room_text(room, mount.limits))
        parent = None if parent is None else RoomName(room_text(parent, mount.limits, "parent"))
        start = None if since is None else checked_position(since)
        if latest is not None:
            if start is not None:
                raise TypeError("join(): since= sends also the newest event, so latest= cannot be given with it")
            latest = mount.dialect.event_name(latest)
        if room not in connection.rooms and len(connection.rooms) >= mount.limits.rooms_per_connection:
            raise InvalidMessage(f"a connection is in at most {mount.limits.rooms_per_connection} rooms")
        answer = position = None
        if start is not None or allowed is not None or known is not None or not self._is_subscribed(connection, room):
            with self._pending.registered(connection, room, parent) as entry:
                if allowed is not None and not await call_host(allowed):
                    raise Forbidden(NO_ENTRY)
                if known is not None:
                    position = await answer_in_time(self._broker_timeout, self._broker.position(connection.gateway))
                    answer = await call_host(known)
                # Last: the room is entered in the step in which this ends, so that no event is missed.
                subscribing = self._until_subscribed(connection, (room,))
                if subscribing is not None:
                    await subscribing
                if start is not None and not (entry.withdrawn or entry.left):
                    await catch_up(mount, self._broker, self._broker_timeout, connection, entry, start)
            if entry.withdrawn:
                raise Forbidden(NO_ENTRY)
            if entry.left:
                return
            if start is not None:
                await _written(connection)
                return
        if latest is None:
            mount.rooms.join(connection, room, parent)
            await _written(connection)
            return
        first = None if answer is None else mount.dialect.event_args(latest, [answer])
        await self._follow(connection, room, parent, latest, first, position if first else None)

    async def _follow(
        self,
        connection: InternalConnection,
        room: RoomName,
        parent: RoomName | None,
        event: str,
        first: Frame | None,
        since: Position | None,
    ) -> None:
        """Put a connection into a room and write the newest `event`, or `first` if none is newer than `since`."""
        mount = self._mounts[connection.gateway]
        was_there = room in connection.rooms
        # Frames are held before the room is entered: what is published until then may be in history too.
        index = connection.hold()
        positions = connection.positions
        newest = None if positions is None else positions.gateway.newest
        try:
            await self.join(connection, room, parent)
            reading = self._broker.latest(connection.gateway, room, event, since=since)
            publication = await answer_in_time(self._broker_timeout, reading)
            broadcast = first
            if publication is not None and connection.id not in publication.except_:
                first = mount.plain_frame(publication)
                broadcast = mount.frame_for(connection, publication)
            if first is not None and broadcast is not None and room in connection.rooms:
                # It is older than other events that the client has got. So it has not its own position.
                own = first if positions is None else positions.own(first, newest)
                connection.insert([own], index, None, unless=broadcast)
        except BaseException:
            if not was_there:
                mount.rooms.leave(connection, room)
            raise
        finally:
            connection.release()

    async def leave(self, connection: InternalConnection, room: Id) -> None:
        """Take a connection out of a room and the rooms below it. Joins of these rooms that are pending end too."""
        name = RoomName(id_text(room, "room"))
        rooms = self._mounts[connection.gateway].rooms
        if self._pending:
            self._pending.leave(connection, name, rooms.with_descendants)
        rooms.leave(connection, name)
        await _written(connection)

    def withdraw(self, command: RemoveFromRoom | CloseRoom) -> None:
        """Refuse the pending joins that a command is newer than."""
        self._pending.withdraw(command, self._mounts[command.gateway].rooms.with_descendants)


async def _written(connection: InternalConnection) -> None:
    """Return when another process that takes the client over would find its rooms."""
    if connection.positions is not None:
        await connection.positions.until_written()
