"""Event handlers: how they are declared, what is injected into them, how host code is called."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

from asgi_realtime.broadcaster import Broadcaster
from asgi_realtime.catalogue import Validate, validator
from asgi_realtime.connection import Connection
from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.messages import Identity, Json
from asgi_realtime.threads import run_in_thread

F = TypeVar("F", bound=Callable[..., Any])

_EVENTS = "__realtime_events__"
_INJECTED = (Connection, Identity, Broadcaster)
RESERVED = frozenset({"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"})
"""Names that no client may send and no handler may have: the protocol's own."""


def on(event: str) -> Callable[[F], F]:
    """Mark a gateway's method as the handler of an event.

    Parameters get what their annotations ask for: `Connection`, `Identity` and `Broadcaster` are
    injected; any other takes the event's next argument, converted to the annotated type (a msgspec
    Struct, dataclass, TypedDict, pydantic model or JSON type; none: as decoded). What the handler
    returns is the acknowledgement, where the client asked for one. A plain `def` runs in a thread.

    Raises:
        ConfigurationError: for a name that belongs to the protocol, such as `connect`.
    """
    check_event(event)

    def mark(function: F) -> F:
        setattr(function, _EVENTS, (*getattr(function, _EVENTS, ()), event))
        return function

    return mark


def check_event(event: str) -> None:
    """Refuse a name that no handler may have.

    Raises:
        ConfigurationError: for a name that belongs to the protocol.
    """
    if event in RESERVED:
        raise ConfigurationError(f"@on({event!r}): the protocol owns this name; override on_connect or on_disconnect")


def declared(owner: object) -> dict[str, Callable[..., Any]]:
    """The methods of an object, or of a class, that were marked with `on`, by event. A subclass's override wins."""
    found: dict[str, Callable[..., Any]] = {}
    for kind in reversed((owner if isinstance(owner, type) else type(owner)).__mro__):
        for name, member in vars(kind).items():
            for event in getattr(member, _EVENTS, ()):
                found[event] = getattr(owner, name)
    return found


async def call_host(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call host code that may be sync or async. Sync code runs in a thread, so that nobody else waits."""
    if inspect.iscoroutinefunction(function):
        return await function(*arguments)
    result = await run_in_thread(function, *arguments)
    return await result if inspect.isawaitable(result) else result


def payload_types(event: str, function: Callable[..., Any]) -> tuple[list[Any], Any]:
    """What a handler takes from the client, in order, and what it returns as acknowledgement (None: nothing).

    Raises:
        ConfigurationError: for an annotation that cannot be resolved.
    """
    hints = _hints(function, f"the handler of {event!r}")
    wanted = [
        hints.get(parameter.name, Any)
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name != "self" and parameter.kind is not parameter.VAR_POSITIONAL
    ]
    returned = hints.get("return", Any)
    return [hint for hint in wanted if hint not in _INJECTED], None if returned is type(None) else returned


def _hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return typing.get_type_hints(inspect.unwrap(getattr(function, "__func__", function)), include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"{where}: the annotation {error.name!r} cannot be resolved; define it at module level"
        ) from None


class Handler:
    """A function that handles one event, with its signature read once."""

    __slots__ = ("_asynchronous", "_function", "_plan", "_rest")

    def __init__(self, event: str, function: Callable[..., Any]) -> None:
        """Read the signature.

        Raises:
            ConfigurationError: for a parameter that nothing can be injected into.
        """
        self._function = function
        self._asynchronous = inspect.iscoroutinefunction(function)
        self._plan: list[tuple[type | Validate, Any]] = []
        self._rest = False
        where = f"handler {getattr(function, '__qualname__', function)!s} of {event!r}"
        hints = _hints(function, where)
        for parameter in inspect.signature(function).parameters.values():
            self._read(parameter, hints.get(parameter.name, Any), where)

    def _read(self, parameter: inspect.Parameter, annotation: Any, where: str) -> None:
        if parameter.kind is parameter.VAR_POSITIONAL:
            self._rest = True
        elif parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
            raise ConfigurationError(f"{where}: parameter {parameter.name!r} cannot be filled; make it positional")
        elif annotation in _INJECTED:
            self._plan.append((annotation, None))
        else:
            try:
                self._plan.append((validator(annotation), parameter.default))
            except TypeError as error:
                raise ConfigurationError(f"{where}: parameter {parameter.name!r}: {error}") from None

    def arguments(self, connection: Connection, broadcaster: Broadcaster, sent: Sequence[Json]) -> list[Any]:
        """What to call the function with.

        Raises:
            InvalidMessage: if what the client sent does not fit the declaration.
        """
        arguments: list[Any] = []
        taken = 0
        for wanted, default in self._plan:
            if wanted is Connection:
                arguments.append(connection)
            elif wanted is Identity:
                arguments.append(connection.identity)
            elif wanted is Broadcaster:
                arguments.append(broadcaster)
            elif taken < len(sent):
                arguments.append(wanted(sent[taken]))
                taken += 1
            elif default is not inspect.Parameter.empty:
                arguments.append(default)
            else:
                raise InvalidMessage("a payload is missing")
        if self._rest:
            arguments.extend(sent[taken:])
        return arguments

    def __call__(self, arguments: Sequence[Any]) -> Coroutine[Any, Any, Any]:
        """Call the function with what `arguments` returned."""
        if self._asynchronous:
            result: Coroutine[Any, Any, Any] = self._function(*arguments)
            return result
        return call_host(self._function, *arguments)
