"""One namespace of a `SocketIOServer`, as the gateway layer sees it."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import functools
import inspect
import logging
import secrets
import time
from collections.abc import Callable, Collection, Sequence
from typing import TYPE_CHECKING, Any

from asgi_realtime.catalogue import encode
from asgi_realtime.connection import Connection, Dialect
from asgi_realtime.errors import BrokerUnavailable, Disconnect, RateLimited, Refusal
from asgi_realtime.gateways.parts import Parts
from asgi_realtime.gateways.receiver import Acknowledge
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.limits import TOO_MANY_ATTEMPTS
from asgi_realtime.messages import (
    ConnectionId,
    Handshake,
    Identity,
    Json,
    Publication,
    RoomName,
    Target,
    ToAll,
    ToRoom,
    UserId,
)
from asgi_realtime.socketio.client import Member
from asgi_realtime.socketio.dialect import SocketIODialect
from asgi_realtime.socketio.environ import wsgi_environ
from asgi_realtime.socketio.exceptions import ConnectionRefusedError
from asgi_realtime.socketio.handlers import NOT_HANDLED, UnfitValues

if TYPE_CHECKING:
    from asgi_realtime.socketio.server import SocketIOServer

HANDLER_TIMEOUT = 3600.0
"""Seconds a handler may take. python-socketio knows no limit, and `call` alone waits for a minute."""


class ClientState:
    """What a server keeps for a client: the `state` of its connection."""

    __slots__ = ("connected_at", "environ", "postponed", "session")

    def __init__(self, handshake: Handshake) -> None:
        self.environ = wsgi_environ(handshake)
        self.session: dict[str, Any] = {}
        self.connected_at = time.time()
        """Seconds since the epoch."""
        self.postponed: list[Callable[[], object]] | None = []
        """What waits for the client to be let in. None: it has been."""


class ServerGateway(SocketIOGateway):
    """Hands a namespace's events to its server's handlers, and answers as python-socketio does."""

    def __init__(self, server: SocketIOServer, namespace: str) -> None:
        super().__init__(namespace, authenticator=_anybody)
        self.functions.clear()  # every event is the server's, whatever its name
        self._server = server
        self._frames = SocketIODialect(namespace)
        self._leaving: dict[ConnectionId, Connection] = {}

    def bind(self, parts: Parts, dialect: Dialect) -> None:
        """Mount this namespace."""
        limits = parts.settings.limits
        self._limits = dataclasses.replace(limits, handler_timeout=max(limits.handler_timeout, HANDLER_TIMEOUT))
        super().bind(parts, dialect)

    def connected(self, sid: str) -> Connection | None:
        """A client by its session id, as long as it is connected."""
        return self.parts.hub.rooms(self.name).get(ConnectionId(sid))

    def connection(self, sid: str) -> Connection | None:
        """A client by its session id, until its disconnect handler has returned."""
        return self.connected(sid) or self._leaving.get(ConnectionId(sid))

    async def on_connect(self, connection: Connection) -> None:
        """Let the connect handler decide."""
        self._server.loop = asyncio.get_running_loop()
        connection.state = state = ClientState(connection.handshake)
        await connection.join(connection.id)
        try:
            accepted = await self._server.handlers.trigger(
                "connect", self.name, connection.id, state.environ, connection.handshake.auth or None
            )
        except ConnectionRefusedError as refused:
            raise _refusal(**refused.error_args) from None
        except builtins.ConnectionRefusedError:
            raise _refusal("Connection refused by server") from None
        if accepted is False:
            raise _refusal(**ConnectionRefusedError().error_args)
        for watcher in self._server.watchers:
            watcher.connected(connection)

    async def on_online(self, connection: Connection) -> None:
        """The client has been let in (each is a user of its own, so each comes here)."""
        postponed, connection.state.postponed = connection.state.postponed, None
        for work in postponed:
            work()

    def closed(self, connection: Connection, reason: str) -> None:
        """Keep a client that is gone within reach of its disconnect handler."""
        self._leaving[connection.id] = connection
        super().closed(connection, reason)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """Call the disconnect handler, then forget the client."""
        reason = self._server.reason.of(reason)
        try:
            for watcher in self._server.watchers:
                watcher.disconnected(connection, reason)
            await self._server.handlers.trigger("disconnect", self.name, connection.id, reason)
        finally:
            del self._leaving[connection.id]

    async def dispatch(self, connection: Connection, event: str, sent: Sequence[Json]) -> Any:
        """Call the handler of an event."""
        name = self.loggable(event)
        self._server.logger.info('received event "%s" from %s [%s]', name, connection.id, self.name)
        for watcher in self._server.watchers:
            watcher.received(connection, event, sent)
        result = await self._server.handlers.trigger(event, self.name, connection.id, *sent)
        if result is NOT_HANDLED:
            raise _NotHandled
        return tuple(result) if isinstance(result, tuple) else result  # any tuple is several values there

    def _refusal_of(self, error: BaseException) -> Refusal | Disconnect | None:
        """Only our own: in python-socketio every other exception of a handler is a failure, HTTP errors included."""
        return error if isinstance(error, Refusal | Disconnect) else None

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Answer nothing: clients of python-socketio expect neither an `error` event nor an ack of ours."""
        expected = isinstance(refusal, _NotHandled | RateLimited)
        level = logging.INFO if expected else logging.WARNING
        name = self.loggable(event)
        self._server.logger.log(level, "event %r from %s [%s]: %s", name, connection.id, self.name, refusal.message)
        if isinstance(refusal, UnfitValues) and not connection.transport.attempted(self._attempts):
            connection.end(1008, TOO_MANY_ATTEMPTS)

    def loggable(self, event: str) -> str:
        """The name of an event that has a handler; a name that the client made up may hold anything."""
        return event if self._server.handlers.has(event, self.name) else "(no name of a handler)"

    # Sending

    def recipients(self, rooms: Sequence[str] | None, skipped: Collection[str]) -> list[Connection]:
        """The clients of this process in any of the rooms (None: all), each once."""
        members = self.parts.hub.rooms(self.name)
        found = dict.fromkeys(
            connection for target in _targets(rooms) for connection in members.recipients(target).connections
        )
        return [connection for connection in found if connection.id not in skipped]

    async def emit(self, rooms: Sequence[str] | None, skipped: Sequence[str], event: str, args: Sequence[Any]) -> None:
        """Send an event to all in some rooms, each once; None: to all in the namespace."""
        event = self._frames.event_name(event)
        members = self.parts.hub.rooms(self.name)
        if rooms is not None and len(rooms) == 1 and not skipped:
            inside = members.of_room(RoomName(rooms[0]))
            if len(inside) == 1 and str(inside[0].id) == rooms[0]:
                # A client's own room: history need not keep what nobody else will ask for.
                inside[0].push(self._frames.event_args(event, args))
                return
        payload, attachments = encode(list(args))
        left_out = [ConnectionId(sid) for sid in skipped]
        targets = _targets(rooms)
        for target in targets:
            publication = Publication(
                gateway=self.name,
                target=target,
                event=event,
                payload=payload[1:-1],  # the arguments, without the brackets around them
                attachments=attachments,
                except_=tuple(left_out),
            )
            reached = members.recipients(target).connections if len(targets) > 1 else ()
            await self._publish(publication)
            left_out += [connection.id for connection in reached]

    async def _publish(self, publication: Publication) -> None:
        try:
            await self.parts.broadcaster.publish(publication)
        except BrokerUnavailable:
            if self._server.loop is not None:
                raise
            # Mounted where it has no lifespan, the server starts with its first client: nobody is there.
            self._server.logger.warning("an event was emitted before the server has started: %s", publication.event)

    def request(self, connection: Connection, event: str, args: Sequence[Any], callback: Callable[..., Any]) -> None:
        """Send an event to a client and hand its acknowledgement to `callback`."""
        member = connection.transport
        assert isinstance(member, Member)
        work = functools.partial(member.request, event, args, functools.partial(self._answered, callback))
        state: ClientState = connection.state
        if state.postponed is not None:
            state.postponed.append(work)
        else:
            work()

    def _answered(self, callback: Callable[..., Any], values: Sequence[Json]) -> None:
        async def call() -> None:
            result = callback(*values)
            if inspect.isawaitable(result):
                await result

        self.parts.tasks.spawn(call(), name=f"callback {getattr(callback, '__name__', '')}")


class _NotHandled(Refusal):
    """Nobody is registered for an event."""

    def __init__(self) -> None:
        super().__init__("no handler")


def _targets(rooms: Sequence[str] | None) -> Sequence[Target]:
    return [ToAll()] if rooms is None else [ToRoom(RoomName(room)) for room in dict.fromkeys(rooms)]


async def _anybody(handshake: Handshake) -> Identity:
    # The connect handler authenticates. Until it has said who this is, it is nobody else.
    return Identity(user_id=UserId(secrets.token_urlsafe(15)))


def _refusal(message: str, data: Json = None) -> Refusal:
    refusal = Refusal(message)
    refusal.data = data
    return refusal
