"""What every gateway is: who may connect, which rooms they are in, what happens with their events.

A transport calls three entry points: `open`, `receive` and `closed`. Host code overrides
hooks, such as `on_connect` and `on_disconnect`, and declares handlers with `on`.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import Any, ClassVar, Protocol, TypeVar

import msgspec

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.auth.refusal_log import FOREIGN_ORIGIN
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection, InternalConnection, internal
from asgi_realtime.connection.contracts import MountedGateway, Transport
from asgi_realtime.errors import BrokerUnavailable, ConfigurationError, Disconnect, Forbidden, Refusal, Unauthorized
from asgi_realtime.gateways.context import GatewayContext
from asgi_realtime.gateways.dispatcher import Dispatcher, ends_this_task
from asgi_realtime.gateways.expiry import Expiry
from asgi_realtime.gateways.replies import ErrorMessage, Failure
from asgi_realtime.gateways.reserved_names import check_attributes, check_names
from asgi_realtime.handlers.event_declarations import EventDeclaration, check_payloads, down
from asgi_realtime.handlers.event_handlers import check_event, check_free
from asgi_realtime.limits import TOO_MANY_ATTEMPTS, Limits
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.protocols.frame import Frame
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.host_calls import HostCall, check_super, check_waits, host_call, method_call
from asgi_realtime.runtime.inbox import Inbox
from asgi_realtime.settings import Settings
from asgi_realtime.values.handshake import Handshake
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.ids import ConnectionId, RoomName, UserId
from asgi_realtime.values.publications import Publication

logger = logging.getLogger("asgi_realtime")

F = TypeVar("F", bound=Callable[..., Any])

_HOOKS: Mapping[str, Sequence[str]] = {
    "on_start": (),
    "on_connect": ("connection",),
    "on_disconnect": ("connection", "reason"),
    "on_online": ("connection",),
    "on_offline": ("user_id",),
    "rooms_of": ("identity",),
}
"""What host code overrides, by an `async def` or a plain `def`, and what it is called with."""


def returned_false(hook: str) -> TypeError:
    """The error about a hook that returned False, which refuses a client in other libraries. It is not let in."""
    return TypeError(f"{hook} returned False; to refuse a client, raise Forbidden() or another Refusal")


class ClientTransport(Transport, Protocol):
    """The client's side of a connection that is about to open."""

    def accept(self, connection: InternalConnection) -> Frame | None:
        """The client is in: remember the connection, and say what to answer first, if anything.

        Raises:
            Refusal: if the client has gone meanwhile.
        """


class Gateway(Dispatcher):
    """The base of `SocketIOGateway` and `WebSocketGateway`."""

    events: ClassVar[Sequence[EventDeclaration]] = (
        down("error", ErrorMessage, to="the client whose event was refused, unless an acknowledgement says it"),
    )
    """What the gateway sends, and what no handler's signature describes. Subclasses add theirs."""
    omitted: ClassVar[Collection[str]] = ()
    """Inherited events that it does not send."""
    failure: ClassVar[Any] = Failure
    """The type of an acknowledgement when an event was refused or failed, for client types."""

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a subclass that replaces what the gateway needs, or has coroutines where plain functions belong."""
        super().__init_subclass__(**options)
        check_names(cls)
        check_waits(cls, _HOOKS)

    def __init__(self, name: str, *, authenticator: Authenticator | None = None, limits: Limits | None = None) -> None:
        super().__init__(name)
        if limits is not None and not isinstance(limits, Limits):
            raise ConfigurationError(
                f"{type(self).__name__}(limits=...) takes a Limits object, not {type(limits).__name__}; "
                "write limits=Limits(message_bytes=...)"
            )
        self._authenticator = authenticator
        self._limits = limits
        self._context: GatewayContext | None = None
        self._broadcaster: Broadcaster
        self._authenticate: HostCall
        self._hooks: Mapping[str, HostCall]
        self._origins: OriginPolicy
        self._mounted: MountedGateway[InternalConnection]

    # What host code uses and overrides

    def on(self, event: str) -> Callable[[F], F]:
        """Declare a handler without subclassing: `@gateway.on("message")`. See `on`.

        Raises:
            ConfigurationError: as `on`, and if the event has a handler that is not the package's own.
        """
        check_event(event)

        def register(function: F) -> F:
            check_free(event, self.functions, type(self).__name__)
            self.declare(event, function)
            return function

        return register

    def host_call(self, function: Callable[..., Any], name: str, *takes: str) -> HostCall:
        """Make an async function of one that the host wrote, whether that is async or plain.

        A plain one runs in a thread. It gets a `SyncConnection` for a `Connection`, and a `SyncBroadcaster` for a
        `Broadcaster`.

        Args:
            function: the host's function.
            name: what it is for, in error messages.
            takes: the names of the arguments that it is called with.

        Raises:
            ConfigurationError: if it cannot be called with these arguments.
        """
        return host_call(function, f"{type(self).__name__}: {name}", takes, self._to_sync)

    def service_call(self, service: object, method: str, *takes: str) -> HostCall:
        """Make an async function of a method of the host's service. See `host_call`.

        Raises:
            ConfigurationError: also if the service has no such method.
        """
        return method_call(service, method, takes, self._to_sync)

    def extra_origins(self, settings: Settings) -> Collection[str]:
        """Origins whose pages may connect to this gateway, but not to others, beside those of `MEW_CORS_ORIGINS`."""
        return ()

    async def on_start(self) -> None:
        """The server has started, and nobody is connected yet. Raise to stop it again."""

    async def on_connect(self, connection: Connection) -> None:
        """An authenticated client is about to be let in. Join rooms, send first events, or raise to refuse.

        What is sent here arrives right after the answer to CONNECT. A client that is refused, by a
        `Refusal`, a `Disconnect` or `connection.close`, gets the refusal alone. Returning False is an
        error, and the client is not let in.
        """

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """A client that was let in is gone. Its rooms are still listed in `connection.rooms`, but empty of it."""

    async def on_online(self, connection: Connection) -> None:
        """This connection was its user's first anywhere. It has been let in. Raise `Disconnect` to close it."""

    async def on_offline(self, user_id: UserId) -> None:
        """A user's last connection anywhere ended, and the grace passed."""

    def connection_opened(self, connection: Connection) -> None:
        """The client is connected, and what `on_connect` sent was written. Must not wait, nor raise."""

    @property
    def broadcaster(self) -> Broadcaster:
        """A broadcaster narrowed to this gateway."""
        try:
            return self._broadcaster
        except AttributeError:
            raise self._not_there() from None

    # What subclasses in this package define

    def default_authenticator(self, context: GatewayContext) -> Authenticator:
        """Who may connect when the host named no authenticator."""
        raise TypeError(f"{type(self).__name__} is abstract: subclass SocketIOGateway or WebSocketGateway")

    async def rooms_of(self, identity: Identity) -> Mapping[RoomName, RoomName | None]:
        """Ask the host which rooms an identity may see. Overridden by gateways that have such a service."""
        return {}

    def recipient_filter(self, publication: Publication) -> Callable[[Connection], bool] | None:
        """Return a function that says whether a recipient gets this publication, or None: each of them does.

        Called when the publication is delivered on this process. Neither may wait.
        """
        return None

    def run_later(
        self, connection: Connection, name: str, function: Callable[[Connection], Coroutine[Any, Any, None]]
    ) -> None:
        """Run a coroutine function for a connection, after the events that have come from it.

        It may take `Limits.handler_timeout`. Its failure is logged under `name`.
        """
        internal(connection).inbox.submit(functools.partial(self._guard, name, function, connection))

    async def enter_rooms(self, connection: Connection) -> None:
        """Put a connection into the rooms that `rooms_of` returns for it. Called in `on_connect`.

        Raises whatever `rooms_of` raised.
        """
        await self.context.hub.enter(internal(connection))

    # What the composition root calls

    @property
    def context(self) -> GatewayContext:
        """What this gateway works with, once it is mounted."""
        try:
            context = self._context
        except AttributeError:
            context = None
        if context is None:
            raise self._not_there()
        return context

    @property
    def mounted(self) -> GatewayContext | None:
        """What this gateway works with; None: it is not mounted yet."""
        return self._context

    @property
    def limits(self) -> Limits:
        """This gateway's own limits, or those of the settings."""
        context = self.context
        return self._limits or context.settings.limits

    @property
    def origins(self) -> OriginPolicy:
        """Who may connect, once it is mounted: what `MEW_CORS_ORIGINS` names, and `extra_origins`."""
        try:
            return self._origins
        except AttributeError:
            raise self._not_there() from None

    def bind(self, context: GatewayContext, dialect: Dialect) -> None:
        """Mount this gateway. Handlers' signatures and the authenticator's settings are checked here."""
        check_attributes(self)
        self._check_declarations(dialect)
        self._context = context
        self._dialect = dialect
        self._hooks = hooks = self._read_hooks()
        has_service = type(self).rooms_of is not Gateway.rooms_of
        filters = type(self).recipient_filter is not Gateway.recipient_filter
        context.registry.add(self.name, dialect, self.limits)
        context.hub.mount(
            self.name,
            dialect,
            self.limits,
            hooks["rooms_of"] if has_service else None,
            self.recipient_filter if filters else None,
        )
        self._mounted = MountedGateway(
            name=self.name, dialect=dialect, hub=context.hub, held_bytes=self.limits.outbox_bytes
        )
        self._origins = context.origins.with_extra(*self.extra_origins(context.settings))
        self._broadcaster = context.broadcaster.of(self.name)
        authenticator = self._authenticator or self.default_authenticator(context)
        self._authenticate = self.host_call(authenticator, "authenticator", "handshake")
        limits = self.limits
        self._attempts = Budget("attempts", limits.attempt_rate, limits.attempt_burst, context.metrics)
        self.prepare(limits, self._broadcaster, context.loop_bridge)

    def _check_declarations(self, dialect: Dialect) -> None:
        for declaration in self.events:
            try:
                dialect.event_name(declaration.name)
                check_payloads(declaration)
            except (TypeError, ValueError) as error:
                where = f"{type(self).__qualname__}.events: {declaration.name!r}"
                raise ConfigurationError(f"{where}: {error}") from None

    def _read_hooks(self) -> Mapping[str, HostCall]:
        hooks: dict[str, HostCall] = {}
        for name, takes in _HOOKS.items():
            hook = getattr(self, name)
            check_super(hook, name, type(self))
            hooks[name] = host_call(hook, f"{type(self).__name__}.{name}", takes, self._to_sync)
        return hooks

    async def call_on_start(self) -> None:
        """The server has started: call `on_start`."""
        await self._hooks["on_start"]()

    # Entry points of the transports

    async def open(self, handshake: Handshake, transport: ClientTransport) -> Connection:
        """Authenticate a client, let the host prepare it, and let it in.

        Nothing is written to the client before; whatever fails leaves no trace.

        Raises:
            Refusal: to be told to the client.
        """
        context = self.context
        try:
            handshake = self._check_origin(handshake)
            async with asyncio.timeout(self.limits.handler_timeout):
                connection = await self._let_in(handshake, transport)
        except Refusal as refusal:
            context.metrics.count("refused_connections_total", gateway=self.name)
            self._log_refusal(refusal, handshake)
            raise
        except BrokerUnavailable as error:
            context.metrics.count("refused_connections_total", gateway=self.name)
            context.refusals.refused(self.name, f"the broker is unavailable: {error}")
            raise Refusal("internal error", code="INTERNAL") from None
        except Disconnect as disconnect:
            context.metrics.count("refused_connections_total", gateway=self.name)
            context.refusals.refused(self.name, f"the application closed it with {disconnect.code}")
            raise Refusal.ended(disconnect.code, disconnect.reason) from None
        except (Exception, asyncio.CancelledError) as error:
            if ends_this_task(error):
                raise
            logger.error("%s: connecting failed: %r", self.name, error, exc_info=not isinstance(error, TimeoutError))
            raise Refusal("internal error", code="INTERNAL") from None
        self.connection_opened(connection.public)
        return connection.public

    async def _let_in(self, handshake: Handshake, transport: ClientTransport) -> InternalConnection:
        try:
            identity = await self._identify(handshake)
            connection = self._make(handshake, identity, transport)
            await self._prepare(connection, transport)
        except Exception as error:
            meant = self._refusal_of(error)
            if meant is None or meant is error:
                raise
            raise meant from None
        return connection

    async def _identify(self, handshake: Handshake) -> Identity:
        identity = await self._authenticate(handshake)
        if not isinstance(identity, Identity):
            # Its type alone: what an authenticator holds is a secret.
            logger.error(
                "%s: the authenticator returned %s: it must return an Identity, or raise Unauthorized",
                self.name,
                "None" if identity is None else f"an object of type {type(identity).__qualname__}",
            )
            raise Refusal("internal error", code="INTERNAL")
        if self.context.revocations.is_revoked(identity):
            raise Unauthorized(log_reason="the token is revoked")
        return identity

    def _log_refusal(self, refusal: Refusal, handshake: Handshake) -> None:
        refusals = self.context.refusals
        if refusal.log_reason == FOREIGN_ORIGIN:
            refusals.origin(self.name, handshake.origin, handshake.headers.get("host"))
        elif refusal.reply_code != "INTERNAL":  # that was logged as the failure it is
            refusals.refused(self.name, refusal.log_reason or f"the application refused it ({refusal.reply_code})")

    def _check_origin(self, handshake: Handshake) -> Handshake:
        """The handshake, without what the browser added by itself if the page is one that is not trusted."""
        # A Socket.IO transport may have been opened by a page that only another gateway lets in.
        origin, origins = handshake.origin, self._origins
        if origin is None:  # no browser's
            return handshake
        host = handshake.headers.get("host")
        if not origins.allows(origin, host=host, scheme=handshake.scheme):
            raise Forbidden("origin not allowed", log_reason=FOREIGN_ORIGIN)
        if not origins.admits_strangers or origins.trusts(origin, host=host, scheme=handshake.scheme):
            return handshake
        return handshake.without_browser_credentials()

    def _make(self, handshake: Handshake, identity: Identity, transport: ClientTransport) -> InternalConnection:
        return InternalConnection(
            id=ConnectionId(secrets.token_urlsafe(15)),
            identity=identity,
            handshake=handshake,
            mounted=self._mounted,
            transport=transport,
            inbox=Inbox(self.context.tasks, self.limits),
        )

    async def _prepare(self, connection: InternalConnection, transport: ClientTransport) -> None:
        context = self.context
        connection.hold()
        context.hub.add(connection)
        counted = False
        try:
            standing = context.hub.standing(connection)
            if standing is not None:
                await standing
                if connection.ended is not None:
                    raise self._refusal_of_ended(connection, connection.ended)
            if await self._hooks["on_connect"](connection.public) is False:
                raise returned_false("on_connect")
            if connection.ended is not None:
                raise self._refusal_of_ended(connection, connection.ended)
            counted = True
            first = await context.presence.join(self._name, connection.identity.user_id, connection.id)
            if connection.ended is not None:
                raise self._refusal_of_ended(connection, connection.ended)
            answer = transport.accept(connection)
        except BaseException:
            connection.shut()
            context.hub.remove(connection)
            if counted:
                await context.presence.leave(self._name, connection.identity.user_id, connection.id)
            connection.forget_public()
            raise
        self._watch_expiry(connection)
        connection.handshake = connection.handshake.without_credentials()
        connection.open(answer)
        if first:
            connection.inbox.submit(
                functools.partial(self._guard, "on_online", self._hooks["on_online"], connection.public)
            )

    def _refusal_of_ended(self, connection: InternalConnection, ended: tuple[int, str]) -> Refusal:
        """What refuses a client that was ended while it was being prepared: the code and reason of that."""
        if self.context.revocations.is_revoked(connection.identity):
            return Unauthorized(log_reason="the token is revoked")
        return Refusal.ended(*ended)

    def closed(self, connection: InternalConnection, reason: str) -> None:
        """A connection that was let in has ended, whoever ended it. Its memberships end in this call."""
        ended_here = connection.closed
        connection.shut()
        if ended_here:
            # Whoever was put out has no say any more; who left has what was sent before leaving.
            connection.inbox.clear()
        self.context.hub.remove(connection)
        self.context.metrics.count("closed_total", gateway=self.name, reason=reason)
        connection.inbox.submit(functools.partial(self._farewell, connection, reason))

    def offline(self, user_id: UserId) -> None:
        """A user is offline, cluster-wide; called by one process."""
        self.context.tasks.spawn(self._guard("on_offline", self._hooks["on_offline"], user_id), name="on_offline")

    async def _farewell(self, connection: InternalConnection, reason: str) -> None:
        # First, because the host's hook may be slow: who is online does not depend on it.
        await self.context.presence.leave(self.name, connection.identity.user_id, connection.id)
        await self._guard("on_disconnect", self._hooks["on_disconnect"], connection.public, reason)
        connection.forget_public()

    async def _guard(self, name: str, hook: HostCall, *arguments: Any) -> None:
        """Run a hook of the host; its failure is logged and concerns nobody else."""
        try:
            async with asyncio.timeout(self.limits.handler_timeout):
                await hook(*arguments)
        except (Exception, asyncio.CancelledError) as error:
            if ends_this_task(error):
                raise
            first = arguments[0] if arguments else None
            if isinstance(error, Disconnect) and isinstance(first, Connection) and not first.closed:
                internal(first).end(error.code, error.reason)
                return
            logger.error("%s: %s failed: %r", self.name, name, error, exc_info=not isinstance(error, TimeoutError))

    # Tokens

    async def refresh_token(self, connection: Connection, token: str) -> None:
        """Replace the token of a live connection.

        Raises:
            Unauthorized: if the token is not valid, or is not this user's.
            Disconnect: if the client has sent more tokens than it may (see `Limits.attempt_rate`).
        """
        behind = internal(connection)
        if not behind.transport.attempted(self._attempts):
            raise Disconnect(1008, TOO_MANY_ATTEMPTS)
        handshake = msgspec.structs.replace(connection.handshake, auth={"token": token})
        try:
            identity = await self._identify(handshake)
            if identity.user_id != connection.identity.user_id:
                raise Unauthorized(log_reason="a new token of another user")
        except Refusal as refusal:
            self._log_refusal(refusal, handshake)
            raise
        behind.identity = identity
        self._watch_expiry(behind)

    def _watch_expiry(self, connection: InternalConnection) -> None:
        if connection.identity.expires_at is not None:
            self.context.wheel.schedule(asyncio.get_running_loop().time(), Expiry(connection.public))
