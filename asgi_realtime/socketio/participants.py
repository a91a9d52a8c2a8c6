"""The clients of one namespace on this process: look-ups, rooms, and sending to them."""

from __future__ import annotations

import contextlib
import functools
import inspect
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.publisher import checked_size
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import BrokerUnavailable, NoAnswer
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.socketio.client_state import ClientState
from asgi_realtime.socketio.server_state import ServerState
from asgi_realtime.socketio.sids import is_sid
from asgi_realtime.transports.socketio.namespace_transport import transport_of
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication, Target, ToAll, ToRoom, ToRooms

_DISCONNECTED: Final = "server disconnect"


class Participants:
    """The clients of one namespace. A client is named by its `sid`, which is also the name of its own room."""

    def __init__(self, namespace: GatewayName, *, state: ServerState, context: GatewayContext) -> None:
        self._namespace = namespace
        self._state = state
        self._context = context
        self._dialect = SocketIODialect(namespace)
        self._leaving: dict[ConnectionId, Connection] = {}

    # Look-ups

    def connected(self, sid: str) -> Connection | None:
        """A client, as long as it is connected."""
        found = self._context.hub.rooms(self._namespace).get(ConnectionId(sid))
        return None if found is None else found.public

    def find(self, sid: str) -> Connection | None:
        """A client, until its disconnect handler has returned."""
        return self.connected(sid) or self._leaving.get(ConnectionId(sid))

    def everybody(self) -> Sequence[Connection]:
        """All clients."""
        return [connection.public for connection in self._context.hub.rooms(self._namespace).everybody]

    def in_room(self, room: str) -> Sequence[Connection]:
        """The clients in a room."""
        return [connection.public for connection in self._context.hub.rooms(self._namespace).of_room(RoomName(room))]

    def in_rooms(self, rooms: Sequence[str] | None, skipped: Collection[str] = ()) -> list[Connection]:
        """The clients in any of the rooms (None: all clients), each once, without those skipped."""
        target = _target(rooms)
        if target is None:
            return []
        found = self._context.hub.rooms(self._namespace).recipients(target).connections
        return [connection.public for connection in found if connection.id not in skipped]

    def room_names(self) -> Collection[str]:
        """The rooms that have clients in them."""
        return self._context.hub.rooms(self._namespace).names

    def keep(self, connection: Connection) -> None:
        """A client is gone: `find` returns it until `forget`."""
        self._leaving[connection.id] = connection

    def forget(self, connection: Connection) -> None:
        """The disconnect handler of a client has returned."""
        del self._leaving[connection.id]

    def is_elsewhere(self, sid: str) -> bool:
        """Whether a client that is not here may be connected to another process."""
        return self._context.settings.redis_url is not None and is_sid(sid) and self.find(sid) is None

    # Rooms

    async def enter_room(self, connection: Connection, room: str) -> None:
        """Put a client into a room.

        Raises:
            ValueError: if the room is another client's own: it would get what is sent to that client.
        """
        self._check_enters(connection.id, room)
        self._state.logger.info("%s is entering room %s [%s]", connection.id, room, self._namespace)
        known = room in connection.rooms
        await connection.join(room)
        for observer in () if known else self._state.active_observers:
            observer.joined(connection, room)

    def _check_enters(self, sid: str, room: str) -> None:
        if room != sid and self._is_own_room(room):
            raise ValueError("cannot enter a sid room")

    def _is_own_room(self, room: str) -> bool:
        return self.connected(room) is not None or self.is_elsewhere(room)

    async def enter_room_elsewhere(self, sid: str, room: str) -> None:
        """Put a client of another process into a room. Does nothing if there is no such client.

        Raises:
            ValueError: if the room is another client's own.
        """
        self._check_enters(sid, room)
        self._state.logger.info("%s is entering room %s [%s]", sid, room, self._namespace)
        await self._broadcaster.add_user_to_room(sid, room)

    async def leave_room_elsewhere(self, sid: str, room: str) -> None:
        """Take a client of another process out of a room."""
        self._state.logger.info("%s is leaving room %s [%s]", sid, room, self._namespace)
        await self._broadcaster.remove_user_from_room(sid, room)

    async def disconnect_elsewhere(self, sid: str) -> None:
        """Disconnect a client of another process from the namespace."""
        self._state.logger.info("Disconnecting %s [%s]", sid, self._namespace)
        await self._broadcaster.disconnect_user(sid, code=1000, reason=_DISCONNECTED, gateway=self._namespace)

    @property
    def _broadcaster(self) -> Broadcaster:
        return self._context.broadcaster.of(self._namespace)

    async def leave_room(self, connection: Connection, room: str) -> None:
        """Take a client out of a room. Does nothing if it is not in it."""
        if room not in connection.rooms:
            return
        self._state.logger.info("%s is leaving room %s [%s]", connection.id, room, self._namespace)
        await connection.leave(room)
        for observer in self._state.active_observers:
            observer.left(connection, room)

    async def close_room(self, room: str) -> None:
        """Take all clients out of a room.

        Raises:
            ValueError: if the room is a client's own.
        """
        if self._is_own_room(room):
            raise ValueError("cannot close a sid room")
        self._state.logger.info("room %s is closing [%s]", room, self._namespace)
        members = self.in_room(room)
        await self._broadcaster.close_room(room)
        for observer in self._state.active_observers:
            for connection in members:
                observer.left(connection, room)

    async def disconnect(self, connection: Connection) -> None:
        """Disconnect a client from the namespace. Stock clients do not reconnect by themselves."""
        self._state.logger.info("Disconnecting %s [%s]", connection.id, self._namespace)
        await connection.close(1000, _DISCONNECTED)

    # Sending

    async def emit(
        self,
        event: str,
        args: Sequence[Any],
        *,
        rooms: Sequence[str] | None,
        skipped: Sequence[str] = (),
        callback: Callable[..., Any] | None = None,
    ) -> None:
        """Send an event to the clients in any of the rooms, each once. None: to all clients of the namespace.

        `callback` is called with the values of each recipient's acknowledgement. For the errors see
        `SocketIOServer.emit`.
        """
        self._state.logger.info(
            'emitting event "%s" to %s [%s]', event, "all" if rooms is None else rooms, self._namespace
        )
        observers = self._state.active_observers
        if observers:
            recipients = self.in_rooms(rooms, skipped)
            for observer in observers:
                observer.sent(recipients, event, args)
        if callback is None:
            await self._broadcast(event, args, rooms, skipped)
        else:
            self._frame(event, args)  # raises now also for clients that are not let in yet
            for connection in self.in_rooms(rooms, skipped):
                self._request(connection, event, args, callback)

    async def _broadcast(
        self, event: str, args: Sequence[Any], rooms: Sequence[str] | None, skipped: Sequence[str]
    ) -> None:
        event = self._dialect.event_name(event)
        if rooms is not None and len(rooms) == 1 and not skipped:
            inside = self._context.hub.rooms(self._namespace).of_room(RoomName(rooms[0]))
            if len(inside) == 1 and str(inside[0].id) == rooms[0]:
                # A client's own room. No other client reads its history, so the event need not be kept.
                inside[0].push(self._frame(event, args))
                return
        publication = self._publication(event, args, rooms, skipped)
        if publication is not None:
            await self._publish(publication)

    def _frame(self, event: str, args: Sequence[Any]) -> Frame:
        """The frame of an event for single clients, within the limits of broadcasts."""
        payload, attachments = encode(list(args))
        checked_size(event, payload, attachments, self._context.settings.limits)
        return self._dialect.event(self._dialect.event_name(event), payload[1:-1], attachments)

    def deliver(self, event: str, args: Sequence[Any], *, rooms: Sequence[str] | None, skipped: Sequence[str]) -> None:
        """`emit` for the clients of this process only. For observers and errors see `emit`."""
        event = self._dialect.event_name(event)
        for observer in self._state.active_observers:
            observer.sent(self.in_rooms(rooms, skipped), event, args)
        publication = self._publication(event, args, rooms, skipped)
        if publication is not None:
            checked_size(event, publication.payload, publication.attachments, self._context.settings.limits)
            self._context.hub.deliver(publication)

    def _publication(
        self, event: str, args: Sequence[Any], rooms: Sequence[str] | None, skipped: Sequence[str]
    ) -> Publication | None:
        """One publication, also to several rooms. None: to no room."""
        payload, attachments = encode(list(args))
        target = _target(rooms)
        if target is None:
            return None
        return Publication(
            gateway=self._namespace,
            target=target,
            event=event,
            payload=payload[1:-1],  # the arguments, without the brackets around them
            attachments=attachments,
            except_=tuple(map(ConnectionId, skipped)),
        )

    async def _publish(self, publication: Publication) -> None:
        try:
            await self._context.broadcaster.publish(publication)
        except BrokerUnavailable:
            if self._state.loop is not None:
                raise
            # Where the server has no lifespan, it starts with its first client. Until then there is no recipient.
            self._state.logger.warning("an event was emitted before the server has started: %s", publication.event)

    def _request(self, connection: Connection, event: str, args: Sequence[Any], callback: Callable[..., Any]) -> None:
        """Send an event to a client and call `callback` with its acknowledgement. One that has ended is left out."""
        acknowledged = functools.partial(self._acknowledged, callback)

        def request() -> None:
            # The write of earlier broadcasts may have ended a slow client since the recipients were listed.
            with contextlib.suppress(NoAnswer):
                transport_of(connection).request(event, args, acknowledged)

        state: ClientState = connection.state
        if state.postponed is not None:
            state.postponed.append(request)
        else:
            request()

    def _acknowledged(self, callback: Callable[..., Any], values: Sequence[Json]) -> None:
        async def call() -> None:
            result = callback(*values)
            if inspect.isawaitable(result):
                await result

        self._context.tasks.spawn(call(), name=f"callback {getattr(callback, '__name__', '')}")


def _target(rooms: Sequence[str] | None) -> Target | None:
    """Where an event goes. None: nowhere."""
    if rooms is None:
        return ToAll()
    names = tuple(map(RoomName, dict.fromkeys(rooms)))
    return ToRooms(names) if len(names) > 1 else ToRoom(names[0]) if names else None
