"""What a gateway calls around each event of its clients: wrappers and guards.

They are put around a handler when it is bound. So nothing is different for the events of gateways without them.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeAlias

import msgspec

from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.gateways.event_tracing import Dispatch
from asgi_realtime.handlers.dependencies.hooks import refuse_dependencies
from asgi_realtime.handlers.event_handlers import BoundHandler
from asgi_realtime.handlers.unused_results import check_returns_nothing
from asgi_realtime.runtime.host_calls import HostCall, ToSync, check_callable, host_call, is_coroutine_function
from asgi_realtime.values.json import Json


class ClientEvent(msgspec.Struct, frozen=True):
    """An event of a client, as wrappers and guards get it. It is not validated yet."""

    name: str
    """The name that its handler is declared for."""
    connection: Connection
    """The connection that sent it."""
    payloads: Sequence[Json]
    """What the client sent, decoded, in order. Do not change it: pass `call_next` another event."""

    @property
    def payload(self) -> Json:
        """The first of the payloads. None: it is `null`, or there is none."""
        return self.payloads[0] if self.payloads else None


CallNext: TypeAlias = Callable[[ClientEvent], Coroutine[Any, Any, Any]]
"""Handles an event: calls the next wrapper, and the last one the handler. Returns what that returned.

Raises:
    Exception: what the handler raises, and `InvalidMessage` for an event that does not fit its declaration.
"""
_REMEDY = "raise Forbidden() to refuse the event"


class Wrappers:
    """The wrappers and guards of one gateway, in order. The first is the outermost.

    Args:
        owner: the class of the gateway, in messages.
        to_sync: converts arguments of plain functions to their form for threads.
    """

    def __init__(self, owner: str, to_sync: ToSync) -> None:
        self._owner = owner
        self._to_sync = to_sync
        self._around: list[Callable[[CallNext], CallNext]] = []

    def __len__(self) -> int:
        return len(self._around)

    def add(self, function: Callable[..., Any]) -> None:
        """Add a wrapper, `async def (event, call_next)`, or a guard, `def (event)` or `async def (event)`.

        Raises:
            ConfigurationError: it is neither.
        """
        where = f"{self._owner}.use({getattr(function, '__qualname__', function)!s})"
        check_callable(function, where)
        refuse_dependencies(function, where)
        required = _required(function)
        if required == 1:
            check_returns_nothing(function, where, _REMEDY)
            check = host_call(function, where, ["event"], self._event_to_sync)
            self._around.append(lambda call_next: _guarded(check, where, call_next))
        elif required == 2 and is_coroutine_function(function):
            self._around.append(lambda call_next: lambda event: function(event, call_next))
        else:
            raise ConfigurationError(
                f"{where}: a wrapper is `async def (event, call_next)`, and returns `await call_next(event)`; "
                f"a guard is `async def (event)` or `def (event)`, and raises Forbidden()"
            )

    def bind(self, event: str, begin: BoundHandler) -> BoundHandler:
        """Return what calls the handler of an event within the wrappers. Without wrappers it is `begin` itself."""
        if not self._around:
            return begin
        call = self._chain(lambda event: begin(event.connection, event.payloads))

        def begin_wrapped(connection: Connection, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
            return call(ClientEvent(event, connection, sent))

        return begin_wrapped

    def bind_dispatch(self, dispatch: Dispatch) -> Dispatch:
        """The same for what handles events that are not declared."""
        if not self._around:
            return dispatch
        call = self._chain(lambda event: dispatch(event.connection, event.name, event.payloads))

        def dispatch_wrapped(connection: Connection, event: str, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
            return call(ClientEvent(event, connection, sent))

        return dispatch_wrapped

    def _chain(self, begin: Callable[[ClientEvent], Awaitable[Any]]) -> CallNext:
        async def handle(event: ClientEvent) -> Any:
            try:
                work = begin(event)
            except InvalidMessage as error:
                error.before_handler = True
                raise
            return await work

        call: CallNext = handle
        for around in reversed(self._around):
            call = around(call)
        return call

    def _event_to_sync(self, argument: Any) -> Any:
        """The event for a plain guard, which runs in a thread."""
        return msgspec.structs.replace(argument, connection=self._to_sync(argument.connection))


def _guarded(check: HostCall, where: str, call_next: CallNext) -> CallNext:
    async def guard(event: ClientEvent) -> Any:
        result = await check(event)
        if result is not None:
            # A guard that means False by "no" must not let the event through.
            raise TypeError(f"{where} returned {result!r}; {_REMEDY}, and return nothing")
        return await call_next(event)

    return guard


def _required(function: Callable[..., Any]) -> int | None:
    """The number of arguments that a function must be called with. None: it must not be called with positional ones."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # a function written in C, without a signature
        return None
    required = [each for each in parameters if each.default is each.empty and each.kind is not each.VAR_KEYWORD]
    if any(each.kind not in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in required):
        return None
    return len(required)
