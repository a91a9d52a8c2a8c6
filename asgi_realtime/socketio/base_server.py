"""The synchronous half of a `SocketIOServer`: its namespaces, the registration of handlers, tasks, look-ups."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final, Literal, TypeVar, Unpack, overload

from asgi_realtime.broadcasting.gateway_registry import GatewayRegistry
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.gateway_context import GatewayContext
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.socketio.dialect import SocketIODialect
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.socketio.client_state import ClientState
from asgi_realtime.socketio.handlers import NamespaceObject
from asgi_realtime.socketio.manager import Manager
from asgi_realtime.socketio.namespace_gateway import NamespaceGateway
from asgi_realtime.socketio.options import Options, check_options, settings_with
from asgi_realtime.socketio.reasons import Reason
from asgi_realtime.socketio.server_state import ServerState
from asgi_realtime.transports.socketio.namespace_transport import transport_of
from asgi_realtime.values.ids import GatewayName, id_text

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

ELSEWHERE: Final = (
    "the client is not connected to this process, and a session is kept where its client is connected. "
    "Keep what all processes need in a database"
)
MOST_NAMESPACES = 1_000
"""Namespaces that a server with `namespaces="*"` has open. Clients choose their names. Over: one without clients is
removed, unless Redis or metrics are used; if there is none, the client is refused."""


class BaseServer:
    """The base class of `SocketIOServer`, as python-socketio's `BaseServer` is that of its `AsyncServer`."""

    reason = Reason
    async_mode = "asgi"

    def __init__(
        self,
        *,
        logger: bool | logging.Logger = False,
        engineio_logger: bool | logging.Logger = False,
        namespaces: Sequence[str] | Literal["*"] | None = None,
        **options: Unpack[Options],
    ) -> None:
        """See `SocketIOServer`."""
        check_options(options)
        self.options = options
        _logger("asgi_realtime", engineio_logger)  # first: the other one is below it
        self.logger = _logger("asgi_realtime.socketio", logger)
        self._state = ServerState(self.logger)
        self._namespaces = namespaces
        self._tasks = Tasks()
        self._context: GatewayContext | None = None
        self.gateways: dict[str, NamespaceGateway] = {}
        """The namespaces that are open."""
        self.manager = Manager(self.gateways)
        """Looks up clients and rooms."""

    def is_asyncio_based(self) -> bool:
        """Whether the methods are coroutines: True."""
        return True

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop that serves the clients. None: no client has connected yet."""
        return self._state.loop

    # Namespaces: called when the server is mounted, and by its clients' transports

    @property
    def names(self) -> Sequence[GatewayName]:
        """The namespaces known so far. Handlers registered later, and `namespaces="*"`, add to them."""
        listed = () if self._namespaces in (None, "*") else self._namespaces
        return [GatewayName(name) for name in dict.fromkeys((*listed, *sorted(self._state.handlers.namespaces)))]

    @property
    def mounted(self) -> GatewayContext | None:
        """The parts of the app in which the server is mounted. None: it is not mounted yet."""
        return self._context

    def bind(self, context: GatewayContext) -> None:
        """Mount the server."""
        if settings_with(context.settings, self.options, None) != context.settings:
            self.logger.warning(
                "the Settings of RealtimeMiddleware are in force, not SocketIOServer's transport options"
            )
        self._context = context
        self.gateways.clear()
        for name in self.names:
            self.gateway_for(name)

    def start(self) -> None:
        """The app starts: receive what other processes emit, if there is a client manager.

        Raises:
            ConfigurationError: for handlers of a namespace that another gateway serves.
        """
        if self._context is None:
            return
        for name in self.names:
            if name in self._context.registry and name not in self.gateways:
                raise ConfigurationError(f"gateways=: {name!r} is mounted twice; give one of them another name")
        manager = self.options.get("client_manager")
        if manager is None:
            return
        # Imported here: an app without a client manager does not load the client of Redis.
        from asgi_realtime.socketio.published import carry_out
        from asgi_realtime.socketio.redis_listener import RedisListener

        listener = RedisListener(
            manager,
            lambda message: carry_out(message, self.gateway_for, listener.publish),
            logging.getLogger("asgi_realtime.socketio"),
        )
        self._context.tasks.spawn(listener.run(), name="client manager", endless=True)

    def add_to_registry(self, registry: GatewayRegistry, limits: Limits) -> None:
        """Make the namespaces known to a broadcaster that is not mounted. See `Broadcaster.connect`."""
        for name in self.names or [GatewayName("/")]:
            registry.add(name, SocketIODialect(name), limits)

    def gateway_for(self, namespace: str) -> NamespaceGateway | None:
        """The gateway of a namespace that has handlers or was listed. It is made at its first use."""
        gateway = self.gateways.get(namespace)
        if gateway is None and self._context is not None and self._accepts(namespace, self._context):
            gateway = self.gateways[namespace] = NamespaceGateway(namespace, self._state)
            gateway.bind(self._context, SocketIODialect(namespace))
        return gateway

    def _accepts(self, namespace: str, context: GatewayContext) -> bool:
        if namespace in context.registry:
            return False  # another gateway's
        if namespace in self.names:
            return True
        if self._namespaces == "*":
            return len(self.gateways) < MOST_NAMESPACES or self._remove_unused(context)
        return self._namespaces is None and namespace == "/"

    def _remove_unused(self, context: GatewayContext) -> bool:
        """Remove the oldest namespace that has no clients and no handlers of its own. False: there is none."""
        kept = set(self.names)
        for name, gateway in self.gateways.items():
            if gateway.unused and name not in kept:
                if not context.hub.unmount(GatewayName(name)):
                    return False
                del self.gateways[name], context.registry[GatewayName(name)]
                return True
        return False

    # Handlers

    @overload
    def on(self, event: str, handler: None = None, namespace: str | None = None) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Callable[..., Any], namespace: str | None = None) -> None: ...
    def on(self, event: str, handler: Callable[..., Any] | None = None, namespace: str | None = None) -> Any:
        """Register a handler, as a decorator or by a call.

        A handler gets the client's `sid` and the event's arguments; `connect` gets `sid`, `environ`
        and `auth`; `disconnect` gets `sid` and `reason`. `"*"` as event or namespace catches all
        that have no handler, and puts the name in front. The return value is the acknowledgement (a
        tuple: several values). Coroutines are awaited. Plain functions run on the event loop, so
        they must not block.
        """

        def register(function: F) -> F:
            self._state.handlers.add(namespace or "/", event, function)
            return function

        if handler is None:
            return register
        register(handler)
        return None

    @overload
    def event(self, handler: F, /) -> F: ...
    @overload
    def event(self, /, *, namespace: str | None = None) -> Callable[[F], F]: ...
    def event(self, handler: Any = None, /, namespace: str | None = None) -> Any:
        """Register a function for the event of its own name: `@sio.event`, or `@sio.event(namespace="/x")`."""

        def register(function: F) -> F:
            return self.on(function.__name__, namespace=namespace)(function)

        return register if handler is None else register(handler)

    def register_namespace(self, namespace_handler: NamespaceObject) -> None:
        """Register an instance of a subclass of `AsyncNamespace` or `Namespace`.

        Raises:
            ValueError: for anything else.
        """
        if isinstance(namespace_handler, type) or not hasattr(namespace_handler, "trigger_event"):
            raise ValueError("Not a namespace instance")
        if not namespace_handler.is_asyncio_based():
            raise ValueError("python-socketio's Namespace cannot wait here: subclass asgi_realtime.socketio.Namespace")
        namespace_handler._set_server(self)
        self._state.handlers.add_object(namespace_handler)

    # Background tasks

    def start_background_task(
        self, target: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any
    ) -> asyncio.Task[T]:
        """Run a coroutine function in the background until the server stops. A failure is logged."""
        tasks = self._tasks if self._context is None else self._context.tasks
        name = f"background task {getattr(target, '__name__', '')}"
        return tasks.spawn_host(target(*args, **kwargs), name=name, endless=True)

    # Look-ups

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """The rooms a client is in, its own (named as its `sid`) included."""
        connection = self._find(sid, namespace)
        return [] if connection is None else [*connection.rooms]

    def transport(self, sid: str, namespace: str | None = None) -> str:
        """The client's transport now: `polling` or `websocket`.

        Raises:
            KeyError: if the client is not connected.
        """
        return transport_of(self._connected(sid, namespace)).kind

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any] | None:
        """The WSGI-like description of the client's handshake, or None if it is not connected."""
        connection = self._find(sid, namespace)
        return None if connection is None else connection.state.environ

    def _find(self, sid: str, namespace: str | None) -> Connection | None:
        gateway = self.gateways.get(namespace or "/")
        return None if gateway is None else gateway.participants.find(id_text(sid, "sid"))

    def _is_elsewhere(self, sid: str, namespace: str | None) -> bool:
        """Whether a client that is not here may be connected to another process."""
        gateway = self.gateway_for(namespace or "/")
        return gateway is not None and gateway.participants.is_elsewhere(id_text(sid, "sid"))

    def _connected(self, sid: str, namespace: str | None) -> Connection:
        connection = self._find(sid, namespace)
        if connection is None:
            if self._is_elsewhere(sid, namespace):
                raise KeyError(f"Session not found: {ELSEWHERE}")
            raise KeyError("Session not found")
        return connection

    def _client_state(self, sid: str, namespace: str | None) -> ClientState:
        state: ClientState = self._connected(sid, namespace).state
        return state


def _logger(name: str, option: bool | logging.Logger) -> logging.Logger:
    if isinstance(option, logging.Logger):
        return option
    logger = logging.getLogger(name)
    if option and logger.level == logging.NOTSET:
        logger.setLevel(logging.INFO)
        if not logging.getLogger("asgi_realtime").handlers:  # else it writes the lines of this logger too
            logger.addHandler(logging.StreamHandler())
    return logger
