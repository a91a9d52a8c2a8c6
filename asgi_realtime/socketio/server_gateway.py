"""One namespace of a `SocketIOServer`, as the gateway layer sees it."""

from __future__ import annotations

import asyncio
import builtins
import dataclasses
import secrets
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from asgi_realtime.connection import Connection, Dialect
from asgi_realtime.errors import InvalidMessage, Refusal
from asgi_realtime.gateways.base import Acknowledge, Parts
from asgi_realtime.gateways.socketio_gateway import SocketIOGateway
from asgi_realtime.messages import ConnectionId, Handshake, Identity, Json, UserId
from asgi_realtime.socketio.environ import wsgi_environ
from asgi_realtime.socketio.exceptions import ConnectionRefusedError
from asgi_realtime.socketio.handlers import NOT_HANDLED

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
        self._server = server
        self._leaving: dict[ConnectionId, Connection] = {}

    def bind(self, parts: Parts, dialect: Dialect) -> None:
        """Mount this namespace."""
        limits = parts.settings.limits
        self._limits = dataclasses.replace(limits, handler_timeout=max(limits.handler_timeout, HANDLER_TIMEOUT))
        super().bind(parts, dialect)

    def connection(self, sid: str) -> Connection | None:
        """A client by its session id, until its disconnect handler has returned."""
        id = ConnectionId(sid)
        return self.parts.hub.rooms(self.name).get(id) or self._leaving.get(id)

    async def on_connect(self, connection: Connection) -> None:
        """Let the connect handler decide."""
        self._server.loop = asyncio.get_running_loop()
        connection.state = state = ClientState(connection.handshake)
        await connection.join(connection.id)
        try:
            accepted = await self._server.handlers.trigger(
                "connect", self.name, connection.id, state.environ, connection.handshake.auth
            )
        except ConnectionRefusedError as refused:
            raise _refusal(**refused.error_args) from None
        except builtins.ConnectionRefusedError:
            raise _refusal("Connection refused by server") from None
        if accepted is False:
            raise _refusal(**ConnectionRefusedError().error_args)
        for observer in self._server.observers:
            observer.connected(connection)

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
            for observer in self._server.observers:
                observer.disconnected(connection, reason)
            await self._server.handlers.trigger("disconnect", self.name, connection.id, reason)
        finally:
            del self._leaving[connection.id]

    async def dispatch(self, connection: Connection, event: str, sent: Sequence[Json]) -> Any:
        """Call the handler of an event."""
        self._server.logger.info('received event "%s" from %s [%s]', event, connection.id, self.name)
        for observer in self._server.observers:
            observer.received(connection, event, sent)
        result = await self._server.handlers.trigger(event, self.name, connection.id, *sent)
        if result is NOT_HANDLED:
            raise InvalidMessage("no handler")
        return result

    def refuse(self, connection: Connection, event: str, refusal: Refusal, acknowledge: Acknowledge | None) -> None:
        """Answer nothing: clients of python-socketio expect neither an `error` event nor an ack of ours."""
        self._server.logger.info('event "%s" from %s [%s]: %s', event, connection.id, self.name, refusal.message)


async def _anybody(handshake: Handshake) -> Identity:
    # The connect handler authenticates. Until it has said who this is, it is nobody else.
    return Identity(user_id=UserId(secrets.token_urlsafe(15)))


def _refusal(message: str, data: Json = None) -> Refusal:
    refusal = Refusal(message)
    refusal.data = data
    return refusal
