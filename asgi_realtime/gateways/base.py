"""The base class of gateways: the hooks that host code overrides, and mounting.

Host code overrides hooks, such as `on_connect` and `on_disconnect`, and declares handlers with `on`. A transport calls
three entry points: `open` and `disconnected` (see `ConnectionLifecycle`) and `receive` (see `Dispatcher`).
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Collection, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from starlette.types import Receive, Scope, Send

from asgi_realtime.auth.authenticators import Authenticator
from asgi_realtime.auth.jwt_verifier import JWTVerifier
from asgi_realtime.auth.origins import OriginPolicy
from asgi_realtime.auth.token_sources import TokenSource
from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.connection.connection import Connection, internal
from asgi_realtime.connection.contracts import MountedGateway
from asgi_realtime.connection.positions import GatewayPositions
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.connection_lifecycle import ConnectionLifecycle
from asgi_realtime.gateways.event_metrics import EventMetrics
from asgi_realtime.gateways.event_tracing import EventTracing
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.gateways.gateway_metrics import GatewayMetrics
from asgi_realtime.gateways.not_an_app import NoRouter, RouteSignature, not_an_app
from asgi_realtime.gateways.replies import ErrorMessage, Failure
from asgi_realtime.gateways.reserved_names import check_attributes, check_names, private_attributes
from asgi_realtime.handlers.dependencies.hooks import bind_hook, refuse_dependencies
from asgi_realtime.handlers.dependencies.injector import Injector
from asgi_realtime.handlers.event_declarations import EventDeclaration, check_payloads, down
from asgi_realtime.handlers.event_handlers import check_event, check_free, check_once
from asgi_realtime.handlers.unused_results import without_result
from asgi_realtime.limits import Limits
from asgi_realtime.metrics.declarations import PRESENCE_USERS
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.runtime.asgi_scope import redact_query
from asgi_realtime.runtime.budgets import Budget
from asgi_realtime.runtime.failed_start import FailedStart
from asgi_realtime.runtime.host_calls import HostCall, check_plain_overrides, check_super_call, method_call
from asgi_realtime.runtime.host_code import wrapped
from asgi_realtime.runtime.host_threads import separate_threads
from asgi_realtime.settings import Settings
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.publications import Publication

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
_WITH_DEPENDENCIES = ("on_connect", "on_disconnect", "on_online")
"""The hooks of one connection."""
_REMEDIES = {
    "on_start": "raise an exception to end the start-up",
    "on_connect": "send the client an event, or raise Forbidden() to refuse it",
    "on_disconnect": "return nothing",
    "on_online": "send the client an event",
    "on_offline": "return nothing",
}
"""The hooks whose result is not used, and what to write instead of `return`."""


class Gateway(ConnectionLifecycle):
    """The base of `SocketIOGateway` and `WebSocketGateway`."""

    events: ClassVar[Sequence[EventDeclaration]] = (
        down("error", ErrorMessage, to="the client whose event was refused, unless an acknowledgement says it"),
    )
    """Events that the gateway sends, and those that no handler's signature describes. Subclasses add theirs."""
    omitted: ClassVar[Collection[str]] = ()
    """Inherited events that it does not send."""
    failure: ClassVar[Any] = Failure
    """The type of an acknowledgement when an event was refused or failed, for client types."""
    token_sources: ClassVar[Sequence[TokenSource]] = ()
    """Where a client may put its token, for a gateway without an `authenticator`. The first that has one decides.

    A class that overrides `default_authenticator` sets it only to describe what that reads.
    """
    recovery: ClassVar[bool] = False
    """Whether a client that loses its connection and returns gets the events that it missed."""
    include_in_schema: ClassVar[bool] = True
    """Whether `AsyncAPIPage` shows it, unless it is told which gateways to show."""
    __as_app: ClassVar[FailedStart]
    _authenticator: Authenticator | None
    _broadcaster: Broadcaster

    def __init_subclass__(cls, **options: Any) -> None:
        """Refuse a subclass that replaces what the gateway needs, or has coroutines where plain functions belong."""
        super().__init_subclass__(**options)
        check_names(cls)
        check_plain_overrides(cls, _HOOKS)
        cls.__as_app = FailedStart(not_an_app(cls))

    if not TYPE_CHECKING:  # type checkers report a gateway that is mounted as an app

        def __new__(cls, *arguments: object, **options: object) -> Self:
            """If a framework calls this class as an ASGI app, return a coroutine that says what to write instead."""
            if len(arguments) == 3 and isinstance(arguments[0], dict) and "type" in arguments[0]:
                return cls.__serve(*arguments)
            return super().__new__(cls)

        __signature__ = RouteSignature()
        _contains_router = NoRouter()

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            """Answer a server that serves this, or an app that mounts it, with what to write instead."""
            await self.__serve(scope, receive, send)

        @classmethod
        async def __serve(cls, scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "lifespan":
                redact_query(scope)
            await cls.__as_app(scope, receive, send)

    def __init__(self, name: str, *, authenticator: Authenticator | None = None, limits: Limits | None = None) -> None:
        if "_Gateway__attributes" not in vars(self):
            check_attributes(self, {})
        super().__init__(name)
        if limits is not None and not isinstance(limits, Limits):
            raise ConfigurationError(
                f"{type(self).__name__}(limits=...) takes a Limits object, not {type(limits).__name__}; "
                "write limits=Limits(message_bytes=...)"
            )
        self._authenticator = authenticator
        self._limits = limits
        self.__attributes = private_attributes(self)

    # What host code uses and overrides

    def on(self, event: str, *, once: str | None = None) -> Callable[[F], F]:
        """Declare a handler without subclassing: `@gateway.on("message")`. See `on`.

        Raises:
            ConfigurationError: as `on`, and if the event has a handler that is not the package's own.
        """
        check_event(event)
        check_once(event, once)

        def register(function: F) -> F:
            check_free(event, self.functions, type(self).__name__)
            self.declare(event, function, once)
            return function

        return register

    def host_call(self, function: Callable[..., Any], name: str, *parameters: str) -> HostCall:
        """Make an async function of one that the host wrote, whether that is async or plain.

        A plain one runs in a thread. It gets a `SyncConnection` for a `Connection`, and a `SyncBroadcaster` for a
        `Broadcaster`.

        Args:
            function: the host's function.
            name: what it is for, in error messages.
            parameters: the names of the arguments that it is called with.

        Raises:
            ConfigurationError: if it cannot be called with these arguments.
        """
        return bind_hook(function, f"{type(self).__name__}: {name}", parameters, self._to_sync, None)

    def service_call(self, service: object, method: str, *parameters: str) -> HostCall:
        """Make an async function of a method of the host's service. See `host_call`.

        Raises:
            ConfigurationError: also if the service has no such method.
        """
        refuse_dependencies(getattr(service, method, None), f"{type(service).__name__}.{method}")
        return method_call(service, method, parameters, self._to_sync)

    def extra_origins(self, settings: Settings) -> Collection[str]:
        """Origins whose pages may connect to this gateway, but not to others, beside those of `MEW_CORS_ORIGINS`."""
        return ()

    async def on_start(self) -> None:
        """The server has started, and no client is connected yet. Raise an exception to stop it."""

    async def on_connect(self, connection: Connection) -> None:
        """An authenticated client is about to be accepted. Join rooms, send first events, or raise to refuse it.

        What is sent here arrives right after the answer to CONNECT. A client that is refused, by a
        `Refusal`, a `Disconnect` or `connection.close`, gets the refusal alone. Returning False is an
        error, and the client is refused.
        """

    async def on_disconnect(self, connection: Connection, reason: str) -> None:
        """A client has disconnected. `connection.rooms` still lists its rooms, but it is no longer a member."""

    async def on_online(self, connection: Connection) -> None:
        """The user has come online with this connection, which is open. Raise `Disconnect` to close it."""

    async def on_offline(self, user_id: str) -> None:
        """The user's last connection on any process has ended, and the grace period has passed."""

    @property
    def broadcaster(self) -> Broadcaster:
        """A broadcaster narrowed to this gateway."""
        try:
            return self._broadcaster
        except AttributeError:
            raise self._not_available() from None

    @property
    def jwt_verifier(self) -> JWTVerifier:
        """The app's verifier of JWTs, once the gateway is mounted. For `default_authenticator`.

        Raises:
            ConfigurationError: if the settings have no key. The error names the variables.
        """
        return self.context.require_verifier()

    # What subclasses in this package define

    def default_authenticator(self, settings: Settings) -> Authenticator:
        """Return the authenticator of a gateway that was made without one. Called when the gateway is mounted."""
        raise TypeError(f"{type(self).__name__} is abstract: subclass SocketIOGateway or WebSocketGateway")

    @classmethod
    def default_token_sources(cls) -> Sequence[TokenSource] | None:
        """Where clients may put tokens, if a gateway has no `authenticator`. None: `default_authenticator` decides."""
        decisive = next(kind for kind in cls.__mro__ if {"default_authenticator", "token_sources"} & vars(kind).keys())
        return cls.token_sources if "token_sources" in vars(decisive) else None

    def accepted_token_sources(self) -> Sequence[TokenSource] | None:
        """Where clients may put tokens. None: the authenticator does not say it."""
        if self._authenticator is None:
            return self.default_token_sources()
        found: Sequence[TokenSource] | None = getattr(self._authenticator, "token_sources", None)
        return found

    async def rooms_of(self, identity: Identity) -> Mapping[str, str | None]:
        """Return the rooms that an identity may see. Overridden by gateways whose service defines them."""
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
        function = wrapped(self.context.around_host_code, function)
        internal(connection).inbox.submit(functools.partial(self._guard, name, function, connection))

    def run_in_background(self, name: str, work: Coroutine[Any, Any, None], *, awaited: bool = False) -> None:
        """Run a coroutine as a task that belongs to no connection. Its failure is logged under `name`.

        There is no time limit. Shutdown waits for it until `MEW_DRAIN_TIMEOUT` has passed, then cancels it.

        `awaited`: handlers wait for it. Then its plain functions run in the threads of `rooms_of`, because handlers may
        occupy all others, and it must not refresh rooms.
        """
        around = self.context.around_host_code
        with separate_threads() if awaited else contextlib.nullcontext():
            work = work if around is None else around.in_loop(work)
            self.context.tasks.spawn_host(work, name=name, gateway=self.name)

    async def enter_rooms(self, connection: Connection) -> None:
        """Put a connection into the rooms that `rooms_of` returns for it. Called in `on_connect`.

        Raises what `rooms_of` raised.
        """
        await self.context.hub.enter(internal(connection))

    # What the composition root calls

    def add_to_registry(self, registry: GatewayRegistry, limits: Limits) -> None:
        """Make the gateway known to broadcasters. `limits` are those of the settings, if it has none of its own."""
        raise TypeError(f"{type(self).__name__} is abstract: subclass SocketIOGateway or WebSocketGateway")

    def bind(self, context: GatewayContext, dialect: Dialect) -> None:
        """Mount this gateway. Handlers' signatures and the authenticator's settings are checked here."""
        self._check_declarations(dialect)
        self._context = context
        self._dialect = dialect
        self.add_to_registry(context.registry, context.settings.limits)
        self._broadcaster = context.broadcaster.of(self.name)
        injector = Injector(self._broadcaster, self._to_sync, context.host, self.limits.handler_timeout)
        self._hooks = hooks = self._read_hooks(injector)
        has_service = type(self).rooms_of is not Gateway.rooms_of
        filters = type(self).recipient_filter is not Gateway.recipient_filter
        context.hub.mount(
            self.name,
            dialect,
            self.limits,
            hooks["rooms_of"] if has_service else None,
            self.recipient_filter if filters else None,
            self._gateway_positions(context, dialect),
        )
        self._mounted = MountedGateway(
            name=self.name,
            dialect=dialect,
            hub=context.hub,
            held_bytes=self.limits.outbox_bytes,
            meter=context.meter,
        )
        self._origins = self._origin_policy(context)
        authenticator = self._authenticator
        if authenticator is None:
            authenticator = self.default_authenticator(context.settings)
        around = context.around_host_code
        self._authenticate = wrapped(around, self.host_call(authenticator, "authenticator", "handshake"))
        limits = self.limits
        self._metrics = GatewayMetrics(context.meter, self.name)
        context.meter.gauge(
            PRESENCE_USERS, functools.partial(context.presence.users_here, self._name), gateway=self.name
        )
        self._attempts = Budget("attempts", limits.attempt_rate, limits.attempt_burst, context.meter)
        session, tracing = context.settings.limits, context.tracing
        self.prepare(
            limits,
            session,
            self._broadcaster,
            injector,
            context.loop_bridge,
            context.make_answers,
            EventMetrics(context.meter, self.name),
            None if tracing is None else EventTracing(tracing, self.name, self._refusal_of),
            around,
        )
        self.__attributes = private_attributes(self)

    @property
    def _recovers(self) -> bool:
        """See `recovery`."""
        return self.recovery

    def _gateway_positions(self, context: GatewayContext, dialect: Dialect) -> GatewayPositions | None:
        if context.recovery is None or not self._recovers:
            return None
        return context.recovery.add_gateway(self._name, dialect, self._answer_has_position)

    def _origin_policy(self, context: GatewayContext) -> OriginPolicy:
        """See `origins`."""
        return context.origins.with_extra(*self.extra_origins(context.settings))

    def check_attributes(self) -> None:
        """Refuse a gateway whose attributes replace what it needs, or whose `__init__` did not call that of its base.

        Raises:
            ConfigurationError: naming the class, and the attribute.
        """
        try:
            known = self.__attributes
        except AttributeError:
            kind = type(self).__name__
            raise ConfigurationError(f"{kind}.__init__ does not call super().__init__(...); call it first") from None
        check_attributes(self, known)

    def _check_declarations(self, dialect: Dialect) -> None:
        for declaration in self.events:
            try:
                dialect.event_name(declaration.name)
                check_payloads(declaration)
            except (TypeError, ValueError) as error:
                where = f"{type(self).__qualname__}.events: {declaration.name!r}"
                raise ConfigurationError(f"{where}: {error}") from None

    def _read_hooks(self, injector: Injector) -> Mapping[str, HostCall]:
        hooks: dict[str, HostCall] = {}
        for name, parameters in _HOOKS.items():
            hook = getattr(self, name)
            check_super_call(hook, name, type(self))
            where = f"{type(self).__name__}.{name}"
            takes = injector if name in _WITH_DEPENDENCIES else None
            hooks[name] = call = bind_hook(hook, where, parameters, self._to_sync, takes)
            if name in _REMEDIES:
                hooks[name] = without_result(call, hook, where, _REMEDIES[name])
        if getattr(self.on_online, "__func__", None) is Gateway.on_online:
            del hooks["on_online"]
        around = self.context.around_host_code
        return {name: wrapped(around, hook) for name, hook in hooks.items()}

    async def call_on_start(self) -> None:
        """The server has started: call `on_start`."""
        # What they have is of an earlier start, and its times perhaps of a test's clock.
        self._rates.clear()
        self._failures.clear()
        await self._hooks["on_start"]()
        self.check_attributes()
