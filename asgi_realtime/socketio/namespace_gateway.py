"""One namespace of a `SocketIOServer` as a gateway: its events go to the server's handlers."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from asgi_realtime.connection.connection import Connection, InternalConnection, internal
from asgi_realtime.connection.contracts import Transport
from asgi_realtime.connection.positions import ConnectionPositions
from asgi_realtime.errors import Disconnect, RateLimited, Refusal
from asgi_realtime.gateways.connection_lifecycle import ClientTransport
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.plain_events import Acknowledge
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.limits import TOO_MANY_ATTEMPTS, Limits
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.recovery.returning_client import ReturningClient
from asgi_realtime.runtime.log_fields import log_fields
from asgi_realtime.socketio.client_state import ClientState
from asgi_realtime.socketio.exceptions import ConnectionRefusedError
from asgi_realtime.socketio.handlers import NOT_HANDLED, UnfitValues
from asgi_realtime.socketio.participants import Participants
from asgi_realtime.socketio.reasons import Reason
from asgi_realtime.socketio.server_state import ServerState
from asgi_realtime.socketio.sids import new_sid
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId
from asgi_realtime.values.json import Json

HANDLER_TIMEOUT = 3600.0
"""Seconds a handler may take. python-socketio has no limit, and its `call` alone waits for 60 seconds."""


class NamespaceGateway(SocketIOGateway):
    """Calls the server's handlers with a namespace's events, and answers as python-socketio does."""

    recovery = False
    """Each client has an identity of its own, so no client can return as the same user."""
    participants: Participants

    def __init__(self, namespace: str, state: ServerState) -> None:
        super().__init__(namespace, authenticator=_new_identity)
        self.functions.clear()  # the server's handlers get every event, whatever its name
        self._state = state
        self._clients = 0

    def bind(self, context: GatewayContext, dialect: Dialect) -> None:
        """Mount this namespace."""
        limits = context.settings.limits
        self._limits_of_namespace = dataclasses.replace(
            limits, handler_timeout=max(limits.handler_timeout, HANDLER_TIMEOUT)
        )
        super().bind(context, dialect)
        self.participants = Participants(self.name, state=self._state, context=context)
        context.hub.on_request(self.name, self.participants.request)

    @property
    def limits(self) -> Limits:
        """The limits of the settings, with more time for handlers."""
        return self._limits_of_namespace

    @property
    def unused(self) -> bool:
        """Whether no client is connected, is connecting, or has a disconnect handler that still runs."""
        return self._clients == 0

    async def open(self, handshake: Handshake, transport: ClientTransport) -> Connection:
        """Count the client, and open its connection."""
        self._clients += 1
        try:
            return await super().open(handshake, transport)
        except BaseException:
            self._clients -= 1
            raise

    async def on_connect(self, connection: Connection) -> None:
        """Call the connect handler, which may refuse the client."""
        self._state.loop = asyncio.get_running_loop()
        state: ClientState = connection.state
        await connection.join(connection.id)
        try:
            accepted = await self._state.handlers.trigger(
                "connect", self.name, connection.id, state.environ, connection.handshake.auth or None
            )
        except ConnectionRefusedError as refused:
            raise _refusal(**refused.error_args) from None
        except builtins.ConnectionRefusedError:
            raise _refusal("Connection refused by server") from None
        if accepted is False:
            raise _refusal(**ConnectionRefusedError().error_args)

    def connection_opened(self, connection: Connection) -> None:
        """Send the events that waited for the client to be let in, and tell the observers."""
        self.participants.let_in(connection)
        for observer in self._state.active_observers:
            observer.connected(connection)

    def disconnected(self, connection: InternalConnection, reason: str) -> None:
        """Keep a client that is gone until its disconnect handler has returned."""
        self.participants.keep(connection.public)
        super().disconnected(connection, reason)

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """Call the disconnect handler, then forget the client."""
        reason = Reason.of(reason)
        try:
            for observer in self._state.active_observers:
                observer.disconnected(connection, reason)
            await self._state.handlers.trigger("disconnect", self.name, connection.id, reason)
        finally:
            self.participants.forget(connection)
            self._clients -= 1

    async def dispatch(self, connection: Connection, event: str, sent: Sequence[Json]) -> Any:
        """Call the handler of an event."""
        if self._state.logger.isEnabledFor(logging.INFO):  # else the fields are not made
            name = self.loggable(event)
            extra = log_fields(connection=connection, event=name)
            self._state.logger.info('received event "%s" from %s [%s]', name, connection.id, self.name, extra=extra)
        for observer in self._state.active_observers:
            observer.received(connection, event, sent)
        result = await self._state.handlers.trigger(event, self.name, connection.id, *sent)
        if result is NOT_HANDLED:
            raise _NotHandled
        return tuple(result) if isinstance(result, tuple) else result  # any tuple is several values there

    def _make(
        self,
        handshake: Handshake,
        identity: Identity,
        transport: Transport,
        positions: ConnectionPositions | None,
        returning: ReturningClient | None,
    ) -> InternalConnection:
        """A connection with its state: events with a callback may be sent to it before its connect handler runs."""
        connection = super()._make(handshake, identity, transport, positions, returning)
        connection.state = ClientState(handshake)
        return connection

    def _new_id(self, identity: Identity) -> ConnectionId:
        """The user's id. So commands for a user, which every process carries out, are for one client."""
        return ConnectionId(identity.user_id)

    def _refusal_of(self, error: BaseException) -> Refusal | Disconnect | None:
        """This package's own only: in python-socketio every other exception is a failure, also HTTP errors."""
        return error if isinstance(error, Refusal | Disconnect) else None

    def send_refusal(
        self,
        connection: Connection,
        event: str,
        sent: Sequence[Json],
        refusal: Refusal,
        acknowledge: Acknowledge | None,
    ) -> None:
        """Answer nothing: clients of python-socketio expect no `error` event, and no acknowledgement of a refusal."""
        expected = isinstance(refusal, _NotHandled | RateLimited)
        level = logging.INFO if expected else logging.WARNING
        name = self.loggable(event)
        more = "" if expected else self._state.warnings.more((name, type(refusal)))
        if more is not None:
            self._state.logger.log(
                level,
                "event %r from %s [%s]: %s%s",
                *(name, connection.id, self.name, refusal.message, more),
                extra=log_fields(connection=connection, event=name),
            )
        if isinstance(refusal, UnfitValues) and not internal(connection).transport.attempted(self._attempts):
            internal(connection).end(1008, TOO_MANY_ATTEMPTS)

    def loggable(self, event: str) -> str:
        """The name of an event that has a handler. The client chooses any other name, which is not logged."""
        return event if self._has_handler(event) else "(no name of a handler)"

    def _has_handler(self, event: str) -> bool:
        """Whether the server has a handler for an event by its name, and not only a catch-all one."""
        return self._state.handlers.has(event, self.name)


class _NotHandled(Refusal):
    """An event has no handler."""

    def __init__(self) -> None:
        super().__init__("no handler")


async def _new_identity(handshake: Handshake) -> Identity:
    # The connect handler authenticates. For the gateway each client is a user of its own, whose id is the client's.
    return Identity(user_id=new_sid())


def _refusal(message: str, data: Json = None) -> Refusal:
    refusal = Refusal(message)
    refusal.data = data
    return refusal
