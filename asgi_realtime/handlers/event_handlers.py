"""Event handlers: their declaration with `on`, and the functions that call them with injected arguments."""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from asgi_realtime.broadcasting.broadcaster import Broadcaster
from asgi_realtime.connection.connection import Connection
from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.handlers.dependencies.injector import Injector
from asgi_realtime.handlers.dependencies.markers import Wanted, wanted
from asgi_realtime.handlers.injected import identity_of, injected
from asgi_realtime.handlers.parameters import Parameter, payload_type, read, read_dependency
from asgi_realtime.handlers.unused_results import check_returns_nothing
from asgi_realtime.payloads.validation import Validate
from asgi_realtime.runtime.host_calls import ToSync, host_call, is_plain, unwrap
from asgi_realtime.values.event_names import RESERVED
from asgi_realtime.values.identity import Identity
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import is_whole

F = TypeVar("F", bound=Callable[..., Any])

_EVENTS = "__realtime_events__"
_ONCE = "__realtime_once__"
_PACKAGE = f"{__name__.partition('.')[0]}."


def on(event: str, *, once: str | None = None) -> Callable[[F], F]:
    """Mark a gateway's method as the handler of an event.

    The annotation of a parameter decides what it gets: `Connection`, `Identity` and `Broadcaster` are
    injected; any other takes the event's next argument, converted to the annotated type (a msgspec
    Struct, dataclass, TypedDict, pydantic model or JSON type; none: as decoded). A parameter with `Depends`, FastAPI's
    or this package's, gets what that function returns, for each event. A client's `null` is
    the argument None; a parameter's default is taken where the client sent no such argument. What the
    handler returns is the acknowledgement, where the client asked for one: None acknowledges with no
    value, a tuple with its values, so `return (None,)` is `null`.

    A plain `def` runs in a thread. There a `Connection` is a `SyncConnection` and a `Broadcaster` a
    `SyncBroadcaster`: their methods wait. Annotate these classes for your type checker.

    `once` names where a client puts the event's id: a parameter that the client fills, or a field of the first
    one. If the client sends an event with the same id again, on any connection of its user, the handler is not
    called again, and its answer is sent again (see `Limits.once_ttl`). A JSON WebSocket gets the answer as
    `ack`.

    Raises:
        ConfigurationError: for a name that belongs to the protocol, such as `connect`, or a `once` that is no name.
    """
    check_event(event)
    check_once(event, once)

    def mark(function: F) -> F:
        try:
            setattr(function, _EVENTS, (*getattr(function, _EVENTS, ()), event))
            if once is not None:
                setattr(function, _ONCE, {**getattr(function, _ONCE, {}), event: once})
        except AttributeError:
            raise ConfigurationError(f"@on({event!r}) marks a function, not a {type(function).__name__}") from None
        return function

    return mark


def check_event(event: str) -> None:
    """Refuse a name that no handler may have.

    Raises:
        ConfigurationError: for a name that belongs to the protocol, or what is no name.
    """
    if not isinstance(event, str):
        raise ConfigurationError(f'on() takes the name of an event, as in @on("message"), not {event!r}')
    if not is_whole(event):
        raise ConfigurationError(f"@on({event!r}): half a surrogate pair; clients' names arrive without such halves")
    if event in RESERVED:
        raise ConfigurationError(f"@on({event!r}): the protocol owns this name; override on_connect or on_disconnect")


def check_once(event: str, once: object) -> None:
    """Refuse a `once` that is no name.

    Raises:
        ConfigurationError: naming the argument.
    """
    if once is not None and (not isinstance(once, str) or not once):
        raise ConfigurationError(
            f'@on({event!r}, once={once!r}): once takes the name of the field with the event\'s id, as in once="id"'
        )


def check_free(event: str, functions: Mapping[str, Callable[..., Any]], owner: str) -> None:
    """Refuse a second handler of an event, unless the first is one of this package.

    Raises:
        ConfigurationError: naming the first.
    """
    known = functions.get(event)
    if known is not None and not unwrap(known).__module__.startswith(_PACKAGE):
        name = getattr(unwrap(known), "__qualname__", repr(known))
        raise ConfigurationError(f"{owner}: {event!r} has a handler already, {name}; an event has one handler")


def declared(owner: object) -> dict[str, Callable[..., Any]]:
    """The methods of an object, or of a class, that were marked with `on`, by event. A subclass's override wins."""
    found: dict[str, Callable[..., Any]] = {}
    for kind in reversed((owner if isinstance(owner, type) else type(owner)).__mro__):
        for name, member in vars(kind).items():
            for event in events_of(member):
                found[event] = getattr(owner, name)
    return found


def declared_once(owner: object) -> dict[str, str]:
    """What `once` names, by event, for the methods that `declared` returns. Events without it are left out."""
    found: dict[str, str | None] = {}
    for kind in reversed((owner if isinstance(owner, type) else type(owner)).__mro__):
        for member in vars(kind).values():
            for event in events_of(member):
                found[event] = _once_of(member, event)
    return {event: once for event, once in found.items() if once is not None}


def _once_of(member: object, event: str) -> str | None:
    marks: Mapping[str, str] = getattr(member, _ONCE, {})
    if event in getattr(member, _EVENTS, ()):
        return marks.get(event)
    inner: object = member.__func__ if isinstance(member, staticmethod | classmethod) else getattr(member, "func", None)
    return None if inner is None else _once_of(inner, event)


def events_of(member: object) -> tuple[str, ...]:
    """The events that a function was marked for with `on`, also below `@staticmethod` and the like.

    If a `partialmethod` was marked itself, the marks of its function do not apply to it.
    """
    events: tuple[str, ...] = getattr(member, _EVENTS, ())
    if isinstance(member, staticmethod | classmethod):
        return (*events_of(member.__func__), *events)
    return events_of(member.func) if isinstance(member, functools.partialmethod) and not events else events


def payload_types(event: str, function: Callable[..., Any]) -> tuple[list[Any], Any]:
    """What a handler takes from the client, in order, and what it returns as acknowledgement (None: nothing).

    Raises:
        ConfigurationError: for an annotation that cannot be resolved.
    """
    where = f"the handler of {event!r}"
    returned = handler_hints(function, where).get("return", Any)
    return [*payload_parameters(function, where).values()], None if returned is type(None) else returned


def payload_parameters(function: Callable[..., Any], where: str) -> dict[str, Any]:
    """The parameters of a handler that a client fills, in order, with their annotations.

    Raises:
        ConfigurationError: for an annotation that cannot be resolved. It begins with `where`.
    """
    hints = handler_hints(function, where)
    return {
        parameter.name: payload_type(parameter, hints.get(parameter.name, Any))
        for parameter in inspect.signature(function).parameters.values()
        if parameter.name not in ("self", *_bound(function)) and parameter.kind is not parameter.VAR_POSITIONAL
        if wanted(parameter, hints.get(parameter.name, Any)) is None
        if injected(hints.get(parameter.name, Any)) is None
    }


def handler_hints(function: Callable[..., Any], where: str) -> dict[str, Any]:
    """The annotations of a handler, resolved.

    Raises:
        ConfigurationError: for one that cannot be resolved. It begins with `where`.
    """
    try:
        return typing.get_type_hints(unwrap(function), include_extras=True)
    except NameError as error:
        raise ConfigurationError(
            f"{where}: the annotation {error.name!r} cannot be resolved; define it at module level"
        ) from None


def _bound(function: Callable[..., Any]) -> Mapping[str, Any]:
    """The keyword arguments of a `functools.partial`."""
    return function.keywords if isinstance(function, functools.partial) else {}


_CONNECTION = Parameter(Connection, None, None)
"""The first argument of what calls a handler with dependencies."""
_FILLED_LATER = Parameter(None, None, lambda: None)
"""A dependency: a place among the arguments."""

BoundHandler: TypeAlias = Callable[[Connection, Sequence[Json]], Coroutine[Any, Any, Any]]
"""Returns the coroutine of a handler, for a connection and the arguments it sent. It has not begun.

Raises:
    InvalidMessage: if what the client sent does not fit the declaration.
"""


def answer_values(result: Any) -> list[Json]:
    """What a handler returned, as the values of an acknowledgement."""
    # A NamedTuple is one value, as in a response of FastAPI.
    return [] if result is None else list(result) if type(result) is tuple else [result]


SEND_INSTEAD = "send the client an event instead: await connection.send(...)"
"""What to write in a handler whose result may not be sent."""


def handler_name(event: str, function: Callable[..., Any]) -> str:
    """The handler of an event, in messages."""
    return f"handler {getattr(function, '__qualname__', function)!s} of {event!r}"


def bind_handler(
    event: str,
    function: Callable[..., Any],
    broadcaster: Broadcaster,
    to_sync: ToSync | None = None,
    *,
    acknowledges: bool = True,
    injector: Injector | None = None,
) -> BoundHandler:
    """Read the signature of an event's handler once, and return a function that calls it.

    `to_sync` converts injected arguments to their form for threads, for a plain handler. `acknowledges`: whether its
    result may be sent to the client. `injector` calls its dependencies. None: they know of no host app.

    Raises:
        ConfigurationError: for a parameter that nothing can be injected into.
    """
    where = handler_name(event, function)
    if isinstance(function, type):
        raise ConfigurationError(f"{where} is a class: pass a function, a method or an object with `__call__`")
    hints = handler_hints(function, where)
    call = host_call(function, where, to_sync=to_sync)
    if not acknowledges:
        check_returns_nothing(function, where, SEND_INSTEAD)
    plan: list[Parameter] = []
    dependencies: list[tuple[int, str, Wanted]] = []
    rest: Validate | None = None
    plain, bound = is_plain(function), _bound(function)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in bound:
            continue
        annotation = hints.get(parameter.name, Any)
        dependency = read_dependency(parameter, annotation, where)
        if dependency is not None:
            dependencies.append((len(plan), parameter.name, dependency))
            plan.append(_FILLED_LATER)
            continue
        found = read(parameter, annotation, where, plain=plain)
        if parameter.kind is parameter.VAR_POSITIONAL:
            rest = found.validate
        else:
            plan.append(found)
    if dependencies:
        call = (injector or Injector(broadcaster)).bind(call, dependencies, where)
        plan.insert(0, _CONNECTION)
    shape = tuple(Any if kind is None else kind for kind, _, default in plan if default is None)
    usual = None if rest is not None or len(shape) < len(plan) else _USUAL.get(shape)
    if usual is not None:
        return usual(call, *[validate for _, validate, _ in plan if validate is not None])
    return functools.partial(_call, call, plan, rest, broadcaster)


def _call(
    call: Callable[..., Coroutine[Any, Any, Any]],
    plan: Sequence[Parameter],
    rest: Validate | None,
    broadcaster: Broadcaster,
    connection: Connection,
    sent: Sequence[Json],
) -> Coroutine[Any, Any, Any]:
    arguments: list[Any] = []
    taken = 0
    for kind, validate, default in plan:
        if kind is Connection:
            arguments.append(connection)
        elif kind is Identity:
            arguments.append(connection.identity)
        elif kind is Broadcaster:
            arguments.append(broadcaster)
        elif kind is not None:
            arguments.append(identity_of(connection, kind))
        elif validate is not None and taken < len(sent):
            arguments.append(validate(sent[taken]))
            taken += 1
        elif default is not None:
            arguments.append(default())
        else:
            raise _missing()
    if rest is not None:
        arguments.extend(rest(list(sent[taken:])))
    return call(*arguments)


def _missing() -> InvalidMessage:
    return InvalidMessage("a payload is missing")


# The usual signatures have functions of their own, which need no loop over the parameters for each event.


def _connection(call: Callable[..., Coroutine[Any, Any, Any]]) -> BoundHandler:
    def begin(connection: Connection, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
        return call(connection)

    return begin


def _payload(call: Callable[..., Coroutine[Any, Any, Any]], validate: Validate) -> BoundHandler:
    def begin(connection: Connection, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
        if not sent:
            raise _missing()
        return call(validate(sent[0]))

    return begin


def _payload_connection(call: Callable[..., Coroutine[Any, Any, Any]], validate: Validate) -> BoundHandler:
    def begin(connection: Connection, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
        if not sent:
            raise _missing()
        return call(validate(sent[0]), connection)

    return begin


def _connection_payload(call: Callable[..., Coroutine[Any, Any, Any]], validate: Validate) -> BoundHandler:
    def begin(connection: Connection, sent: Sequence[Json]) -> Coroutine[Any, Any, Any]:
        if not sent:
            raise _missing()
        return call(connection, validate(sent[0]))

    return begin


_USUAL: Mapping[tuple[Any, ...], Callable[..., BoundHandler]] = {
    (Connection,): _connection,
    (Any,): _payload,
    (Any, Connection): _payload_connection,
    (Connection, Any): _connection_payload,
}
