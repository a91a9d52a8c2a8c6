"""The handlers of a gateway: how they are declared, and bound when it is mounted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.gateways.client_frames import ClientFrames
from asgi_realtime.gateways.handler_binding import HandlerBinding
from asgi_realtime.gateways.plain_events import PlainEvents
from asgi_realtime.gateways.wrappers import Wrappers
from asgi_realtime.handlers.event_handlers import BoundHandler, declared, declared_once
from asgi_realtime.limits import Limits
from asgi_realtime.protocols.dialect import Dialect
from asgi_realtime.runtime.host_calls import ToSync
from asgi_realtime.values.ids import GatewayName

F = TypeVar("F", bound=Callable[..., Any])


class DeclaredHandlers(ClientFrames):
    """The handlers of a gateway by event, and the wrappers around them."""

    # Declared here, so that `reserved_names` includes them.
    _name: GatewayName
    _functions: dict[str, Callable[..., Any]]
    _once: dict[str, str]
    _handlers: dict[str, BoundHandler]
    plain_events: PlainEvents | None
    _binding: HandlerBinding | None
    _wrappers: Wrappers
    _sync_converter: ToSync | None
    _event_name_bytes: int

    def __init__(self, name: str) -> None:
        self._name = GatewayName(name)
        self._functions = declared(self)
        self._once = declared_once(self)
        self._handlers = {}
        self._binding = None
        self._wrappers = Wrappers(type(self).__name__, self._to_sync)
        self._sync_converter = None

    @property
    def name(self) -> GatewayName:
        """The Socket.IO namespace or WebSocket path it is mounted as."""
        try:
            return self._name
        except AttributeError:
            raise self._not_available() from None

    @property
    def functions(self) -> dict[str, Callable[..., Any]]:
        """The handlers by event, as they were declared."""
        try:
            return self._functions
        except AttributeError:
            raise self._not_available() from None

    @property
    def once(self) -> dict[str, str]:
        """What `once` names, by event."""
        return self._once

    @property
    def dialect(self) -> Dialect:
        """The dialect of the gateway. Available after mounting."""
        try:
            return self._dialect
        except AttributeError:
            raise self._not_available() from None

    def _not_available(self) -> RuntimeError:
        """The error about a part of the gateway that is not available yet.

        A `__getattr__` could raise it for all parts. But in a class with `__getattr__` Python reads every attribute
        more slowly, also existing ones: 8 % of an event.
        """
        kind = type(self).__name__
        if "_context" not in vars(self):
            return RuntimeError(f"{kind}.__init__ must call super().__init__(...) before it uses the gateway")
        return RuntimeError(f"{kind} is not mounted yet; pass it to RealtimeMiddleware(gateways=[...])")

    def declare(self, event: str, function: Callable[..., Any], once: str | None = None) -> None:
        """Make a function the handler of an event, from now on. `once`: see `on`."""
        functions = self.functions
        if self._binding is not None:
            self.check_arrives(event)
            self._handlers[event] = begin = self._binding.bind(event, function, once)
            if self.plain_events is not None:
                self.plain_events.declare(event, begin, self._binding.direct(function, once))
        functions[event] = function
        self._once.pop(event, None)
        if once is not None:
            self._once[event] = once

    def use(self, wrapper: F) -> F:
        """Call a function around each event of this gateway: `@gateway.use`, or `self.use(...)` in `__init__`.

        A wrapper is `async def (event, call_next)`, and returns what `await call_next(event)` returns, or another
        answer. A guard is `async def (event)`, or a plain `def` that runs in a thread, and refuses by raising
        `Forbidden`. The first one is the outermost. A copy of an event with `once` does not come to them.

        Raises:
            ConfigurationError: it is neither, or the gateway is mounted already.
        """
        if self._binding is not None:
            raise ConfigurationError(
                f"{type(self).__name__}.use() comes too late: call it before the gateway is mounted"
            )
        self._wrappers.add(wrapper)
        return wrapper

    def _check_arrivals(self, limits: Limits) -> None:
        """Refuse handlers that no event reaches. See `check_arrives`."""
        self._event_name_bytes = limits.event_name_bytes
        for event in self._functions:
            self.check_arrives(event)

    def _bind_handlers(self, binding: HandlerBinding) -> None:
        """Bind what is declared, and from now on what will be.

        Raises:
            ConfigurationError: for a handler that cannot be called.
        """
        self._binding = binding
        self._handlers = {
            event: binding.bind(event, function, self._once.get(event)) for event, function in self._functions.items()
        }

    def check_arrives(self, event: str) -> None:
        """Refuse a handler of an event that never reaches one.

        Raises:
            ConfigurationError: for a name that is longer than a client's may be.
        """
        if len(event.encode()) > self._event_name_bytes:
            raise ConfigurationError(
                f"{type(self).__name__}: the handler of {event[:40]!r}… would never be called, because the name is "
                f"over MEW_EVENT_NAME_BYTES ({self._event_name_bytes}): shorten it"
            )

    def _to_sync(self, argument: Any) -> Any:
        """What a plain function gets: a connection, or this gateway's broadcaster, in its form for threads."""
        return argument if self._sync_converter is None else self._sync_converter(argument)

    def _has_handler(self, event: str) -> bool:
        """Whether something is declared for an event by its name. Clients choose all other names."""
        return event in self._functions
