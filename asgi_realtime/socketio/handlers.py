"""The handlers of a `SocketIOServer`: functions and namespace objects, and which of them handles an event."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Any, Protocol, TypeAlias

from asgi_realtime.errors import InvalidMessage
from asgi_realtime.values.json import Json

EventFunction: TypeAlias = Callable[..., Any]

LIFECYCLE_EVENTS = ("connect", "disconnect")
"""The server triggers these two itself. A catch-all handler does not get them."""

ANY = "*"

NOT_HANDLED = object()
"""What `Handlers.trigger` returns for an event without a handler."""


class NamespaceObject(Protocol):
    """A class-based namespace: `Namespace` or `AsyncNamespace`, this package's or python-socketio's."""

    namespace: str

    def trigger_event(self, event: str, *args: Json) -> Any:
        """Handle an event. The result may be awaitable."""

    def is_asyncio_based(self) -> bool:
        """Whether `trigger_event` may be called on the event loop."""

    def _set_server(self, server: Any) -> None:
        """The namespace was registered on a server."""


class Handlers:
    """The registered handlers, found in python-socketio's order of precedence.

    A function before a namespace object; the event's own before `"*"`; the namespace's own before `"*"`.
    """

    def __init__(self) -> None:
        self._functions: dict[str, dict[str, EventFunction]] = {}
        self._objects: dict[str, NamespaceObject] = {}

    @property
    def namespaces(self) -> Collection[str]:
        """The namespaces that have handlers."""
        return (self._functions.keys() | self._objects.keys()) - {ANY}

    def add(self, namespace: str, event: str, function: EventFunction) -> None:
        """Register a function. It replaces the earlier one."""
        self._functions.setdefault(namespace, {})[event] = function

    def add_object(self, handler: NamespaceObject) -> None:
        """Register a namespace object. It replaces the earlier one."""
        self._objects[handler.namespace] = handler

    def has(self, event: str, namespace: str) -> bool:
        """Whether something is registered for an event by its name, in a namespace or in all."""
        return any(
            event in self._functions.get(where, {}) or hasattr(self._objects.get(where), f"on_{event}")
            for where in (namespace, ANY)
        )

    async def trigger(self, event: str, namespace: str, *args: Json) -> Any:
        """Call the handler of an event. A catch-all gets the names that its `"*"` stands for in front.

        Returns what the handler returns, or `NOT_HANDLED`.
        """
        # The name of the event comes first, then that of the namespace.
        for where, place in ((namespace, ()), (ANY, (namespace,))):
            functions = self._functions.get(where, {})
            if event in functions:
                return await call_handler(functions[event], event, *place, *args)
            if ANY in functions and event not in LIFECYCLE_EVENTS:
                return await call_handler(functions[ANY], event, event, *place, *args)
        for where, place in ((namespace, ()), (ANY, (namespace,))):
            if where in self._objects:
                result = self._objects[where].trigger_event(event, *place, *args)
                return await result if inspect.isawaitable(result) else result
        return NOT_HANDLED


class UnfitValues(InvalidMessage):
    """A client sent a number of values that the handler does not take."""


async def call_handler(function: EventFunction, event: str, *args: Json) -> Any:
    """Call a function or coroutine function with the arguments it takes.

    Raises:
        UnfitValues: if the client sent a wrong number of values.
    """
    try:
        result = function(*fitting(function, event, args))
    except TypeError:
        refuse_unfit(function, event, args)
        raise
    return await result if inspect.isawaitable(result) else result


def refuse_unfit(function: EventFunction, event: str, args: tuple[Json, ...]) -> None:
    """After a `TypeError` of a handler: raise `InvalidMessage` if the client sent a wrong number of values.

    Then this raises `UnfitValues`: one line in the log. A failure of the handler is a traceback.
    """
    if event in LIFECYCLE_EVENTS:
        return
    try:
        signature = inspect.signature(function)
    except ValueError:  # a function written in C, without a signature
        return
    try:
        signature.bind(*args)
    except TypeError as error:
        raise UnfitValues(f"the handler does not take these values: {error}") from None


def fitting(function: EventFunction, event: str, args: tuple[Json, ...]) -> tuple[Json, ...]:
    """The arguments a handler takes: `connect` may do without `auth`, `disconnect` without `reason`."""
    if event not in LIFECYCLE_EVENTS:
        return args
    count = 0
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            return args
        count += parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
    return args[:count]
