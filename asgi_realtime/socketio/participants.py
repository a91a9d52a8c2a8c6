"""The clients of one namespace on this process: look-ups, rooms, and sending to them."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
from collections.abc import Callable, Collection, Sequence
from typing import Any, Final

import msgspec

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.publisher import checked_size
from asgi_realtime.connection.connection import Connection, InternalConnection, internal
from asgi_realtime.errors import BrokerUnavailable, NoAnswer
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.payloads.encoding import encode
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.socketio.client_state import ClientState
from asgi_realtime.socketio.postponed_requests import Awaited, ClientRequest
from asgi_realtime.socketio.server_state import ServerState
from asgi_realtime.socketio.sids import is_sid
from asgi_realtime.transports.socketio.namespace_transport import transport_of
from asgi_realtime.values.close_codes import TOO_SLOW
from asgi_realtime.values.ids import ConnectionId, GatewayName, RoomName
from asgi_realtime.values.json import Json
from asgi_realtime.values.publications import Publication, ReplyTo, Target, ToAll, ToRoom, ToRooms

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
        return self._context.many_processes and is_sid(sid) and self.find(sid) is None

    def _log(self, text: str, *values: object, connection: Connection | None = None) -> None:
        """Log a line. The last value in it is the namespace."""
        logger, namespace = self._state.logger, self._namespace
        if logger.isEnabledFor(logging.INFO):  # else the fields are not made
            extra = log_fields(namespace, connection=connection)
            logger.info(text, *values, namespace, extra=extra, stacklevel=2)

    # Rooms

    async def enter_room(self, connection: Connection, room: str) -> None:
        """Put a client into a room.

        Raises:
            ValueError: if the room is another client's own: it would get what is sent to that client.
        """
        self._check_enters(connection.id, room)
        self._log("%s is entering room %s [%s]", connection.id, room, connection=connection)
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
        self._log("%s is entering room %s [%s]", sid, room)
        await self._broadcaster.add_user_to_room(sid, room)

    async def leave_room_elsewhere(self, sid: str, room: str) -> None:
        """Take a client of another process out of a room."""
        self._log("%s is leaving room %s [%s]", sid, room)
        await self._broadcaster.remove_user_from_room(sid, room)

    async def disconnect_elsewhere(self, sid: str) -> None:
        """Disconnect a client of another process from the namespace."""
        self._log("Disconnecting %s [%s]", sid)
        await self._broadcaster.disconnect_user(sid, code=1000, reason=_DISCONNECTED, gateway=self._namespace)

    @property
    def _broadcaster(self) -> Broadcaster:
        return self._context.broadcaster.of(self._namespace)

    async def leave_room(self, connection: Connection, room: str) -> None:
        """Take a client out of a room. Does nothing if it is not in it."""
        if room not in connection.rooms:
            return
        self._log("%s is leaving room %s [%s]", connection.id, room, connection=connection)
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
        self._log("room %s is closing [%s]", room)
        members = self.in_room(room)
        await self._broadcaster.close_room(room)
        for observer in self._state.active_observers:
            for connection in members:
                observer.left(connection, room)

    async def disconnect(self, connection: Connection) -> None:
        """Disconnect a client from the namespace. Stock clients do not reconnect by themselves."""
        self._log("Disconnecting %s [%s]", connection.id, connection=connection)
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
        awaited: Awaited | None = None,
        here: bool = False,
    ) -> ReplyTo | None:
        """Send an event to the clients in any of the rooms, each once. None: to all clients of the namespace.

        `callback` is called with the values of each recipient's acknowledgement. `awaited` says whether that is still
        of use: a client of this process that is let in later does not get the event otherwise. `here`: to the clients
        of this process only. For the errors see `SocketIOServer.emit`.

        Returns:
            What to pass to `forget_replies` when no more acknowledgements are expected. None: nothing.
        """
        self._log('emitting event "%s" to %s [%s]', event, "all" if rooms is None else rooms)
        observers = self._state.active_observers
        if observers:
            recipients = self.in_rooms(rooms, skipped)
            for observer in observers:
                observer.sent(recipients, event, args)
        publication = self._publication(event, args, rooms, skipped)
        if publication is None:
            return None
        client = None if skipped or rooms is None else self._only_client(rooms)
        reply_to: ReplyTo | None = None
        if client is not None:
            # A client's own room. No other client reads its history, so the event need not be kept.
            if callback is None:
                client.push(self._dialect.event(publication.event, publication.payload, publication.attachments))
            else:
                answered = functools.partial(self._acknowledged, callback)
                self._request(client.public, ClientRequest(publication, answered, awaited))
            return None
        if callback is not None:
            reply_to = self._context.hub.replies.expect(functools.partial(self._acknowledged, callback))
            publication = msgspec.structs.replace(publication, volatile=True, reply_to=reply_to)
        if here:
            self._context.hub.deliver(publication)
        else:
            await self._publish(publication)
        return reply_to

    def _only_client(self, rooms: Sequence[str]) -> InternalConnection | None:
        """The client whose own room is the only one of these, if it is connected to this process."""
        if len(rooms) != 1:
            return None
        inside = self._context.hub.rooms(self._namespace).of_room(RoomName(rooms[0]))
        return inside[0] if len(inside) == 1 and str(inside[0].id) == rooms[0] else None

    def forget_replies(self, reply_to: ReplyTo | None) -> None:
        """Ignore later acknowledgements."""
        if reply_to is not None:
            self._context.hub.replies.forget(reply_to)

    def _publication(
        self, event: str, args: Sequence[Any], rooms: Sequence[str] | None, skipped: Sequence[str]
    ) -> Publication | None:
        """One publication within the limits, also to several rooms. None: to no room."""
        payload, attachments = encode(list(args))
        event = self._dialect.event_name(event)
        checked_size(event, payload, attachments, self._context.settings.limits)
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
            more = self._state.warnings.more("emitted too early")
            if more is not None:
                text = "an event was emitted before the server has started: %s%s"
                self._state.logger.warning(text, publication.event, more)

    def request(self, publication: Publication, connections: Sequence[Connection]) -> None:
        """Send a publication of any process to clients, and their acknowledgements to where it came from."""
        if publication.reply_to is not None:
            answered = functools.partial(self._context.hub.replies.acknowledge, publication.reply_to)
            request = ClientRequest(publication, answered, None)
            for connection in connections:
                self._request(connection, request)

    def _request(self, connection: Connection, request: ClientRequest) -> None:
        """Send an event to a client, once it is let in. One that has ended is left out.

        A client for which too many bytes wait is ended, as one whose held frames are too many.
        """
        state: ClientState = connection.state
        if state.postponed is None:
            _send_request(connection, request)
        elif not connection.closed:
            client = internal(connection)
            if not state.postponed.add(request, client.mounted.held_bytes):
                client.end(1013, TOO_SLOW)

    def let_in(self, connection: Connection) -> None:
        """A client is let in: send what waited for that."""
        state: ClientState = connection.state
        postponed, state.postponed = state.postponed, None
        for request in () if postponed is None else postponed.awaited:
            _send_request(connection, request)

    def _acknowledged(self, callback: Callable[..., Any], values: Sequence[Json]) -> None:
        async def call() -> None:
            result = callback(*values)
            if inspect.isawaitable(result):
                await result

        name = f"callback {getattr(callback, '__name__', '')}"
        self._context.tasks.spawn_host(call(), name=name, gateway=self._namespace)


def _send_request(connection: Connection, request: ClientRequest) -> None:
    publication = request.publication
    # The write of earlier broadcasts may have ended a slow client since the recipients were listed.
    with contextlib.suppress(NoAnswer):
        transport_of(connection).request(
            publication.event, publication.payload, publication.attachments, request.answered
        )


def _target(rooms: Sequence[str] | None) -> Target | None:
    """Where an event goes. None: nowhere."""
    if rooms is None:
        return ToAll()
    names = tuple(map(RoomName, dict.fromkeys(rooms)))
    return ToRooms(names) if len(names) > 1 else ToRoom(names[0]) if names else None
