"""Ends the connections of a gateway: rooms, presence, and the hooks that follow. Also announces who is online."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Mapping
from typing import Any

from asgi_realtime.connection.connection import Connection, InternalConnection, internal
from asgi_realtime.errors import BrokerUnavailable, Disconnect
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.gateway_metrics import GatewayMetrics
from asgi_realtime.gateways.recovery_rules import RecoveryRules
from asgi_realtime.limits import Limits
from asgi_realtime.runtime.begun_task import begin_task
from asgi_realtime.runtime.coroutines import run_with_timeout
from asgi_realtime.runtime.host_calls import HostCall
from asgi_realtime.runtime.tasks import HOST_ERRORS, ends_this_task
from asgi_realtime.values.ids import GatewayName, UserId


class ConnectionEnds(RecoveryRules):
    """Ends connections. It calls the hooks of the host, which `Gateway.bind` sets."""

    _limits: Limits | None
    _context: GatewayContext | None
    _hooks: Mapping[str, HostCall]
    """By name. Without `on_online` if the gateway does not override it: a task for each client is saved."""
    _metrics: GatewayMetrics

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self._limits = None
        self._context = None

    @property
    def context(self) -> GatewayContext:
        """The parts of the app that this gateway is mounted in.

        Raises:
            RuntimeError: before it is mounted.
        """
        try:
            context = self._context
        except AttributeError:
            context = None
        if context is None:
            raise self._not_available()
        return context

    @property
    def mounted(self) -> GatewayContext | None:
        """The parts of the app that this gateway is mounted in. None: it is not mounted yet."""
        return self._context

    @property
    def limits(self) -> Limits:
        """This gateway's own limits, or those of the settings."""
        context = self.context
        return self._limits or context.settings.limits

    def disconnected(self, connection: InternalConnection, reason: str) -> None:
        """An open connection has ended. It leaves all rooms in this call."""
        ended = connection.ended
        saved = False
        try:
            saved = self.context.recovery is not None and self.context.recovery.save(connection, reason)
        except Exception as error:
            self._failures.failed(self._name, "keeping a recovery session failed", error, connection=connection)
        finally:
            connection.set_closed()
            self.context.hub.remove(connection)
        if ended is not None:
            # The server has ended it: events that wait are dropped. Those of a client that left are still handled.
            connection.inbox.clear()
        self._metrics.closed(reason, ended)
        # Its client may be back before its last handlers have ended, or with its next packet, which may be CONNECT.
        leaving = self._leave_early(connection) if saved or not connection.inbox.busy else None
        if saved and leaving is not None and self.context.recovery is not None:
            self.context.recovery.leaving_presence(connection, leaving)
        connection.inbox.submit(functools.partial(self._finish_disconnect, connection, reason, leaving))

    def _leave_early(self, connection: InternalConnection) -> asyncio.Future[None]:
        """Begin to leave presence in this call."""
        left: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        begin_task(self.context.tasks, self._leave(connection, left))
        return left

    async def _leave(self, connection: InternalConnection, left: asyncio.Future[None]) -> None:
        try:
            await self._leave_presence(connection)
        finally:
            if not left.done():
                left.set_result(None)

    def offline(self, user_id: UserId) -> asyncio.Task[None]:
        """A user is offline, cluster-wide; called by one process. The task ends when that is announced."""
        return self.context.tasks.spawn(
            self._guard("on_offline", self._hooks["on_offline"], user_id), name="on_offline"
        )

    def came_online(self, user_id: UserId) -> None:
        """A user came online, cluster-wide, with connections that are open; called by one process."""
        for connection in self.context.hub.rooms(GatewayName(self.name)).of_user(user_id)[:1]:
            self._announce_online(connection)

    def _announce_online(self, connection: InternalConnection) -> None:
        hook = self._hooks.get("on_online")
        if hook is not None:
            connection.inbox.submit(functools.partial(self._guard, "on_online", hook, connection.public))

    async def _finish_disconnect(
        self, connection: InternalConnection, reason: str, leaving: asyncio.Future[None] | None
    ) -> None:
        # Before the host's hook, which may be slow.
        await (self._leave_presence(connection) if leaving is None else asyncio.shield(leaving))
        await self._guard("on_disconnect", self._hooks["on_disconnect"], connection.public, reason)
        connection.forget_public()

    async def _leave_presence(self, connection: InternalConnection) -> None:
        """Remove a connection from presence. A failure or a slow answer does not stop what follows."""
        leaving = self.context.presence.leave(self._name, connection.identity.user_id, connection.id)
        try:
            await run_with_timeout(self.context.settings.publish_timeout, leaving)
        except (TimeoutError, BrokerUnavailable):
            pass  # presence removes it later; see `Presence.leave`
        except Exception as error:  # against the contract of presence
            about = repr(connection)
            self._failures.failed(self._name, "leaving presence failed", error, about=about, connection=connection)

    async def _guard(self, name: str, hook: HostCall, *arguments: Any) -> None:
        """Run a hook of the host. Its failure is logged."""
        try:
            async with asyncio.timeout(self.limits.handler_timeout):
                await hook(*arguments)
        except HOST_ERRORS as error:
            if ends_this_task(error):
                raise
            first = arguments[0] if arguments and isinstance(arguments[0], Connection) else None
            if isinstance(error, Disconnect) and first is not None and not first.closed:
                internal(first).end(error.code, error.reason)
                return
            self._failures.failed(self.name, f"{name} failed", error, connection=first)
