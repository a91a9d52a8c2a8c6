"""Handlers whose payload is decoded straight from JSON to the type of their parameter.

In the general way JSON is decoded first, and the result is converted. The direct way must have the same result. So it
is taken only for types and texts for which `msgspec` does the same in both. Where it fails, the general way decides.

The difference is in fields that the type does not have. The decoder skips them, and does not notice that a number is
too large or a text is not UTF-8. So an object is decoded directly only if it has no such field: all fields of its type
are required, and the text has one colon for each. Further fields have further colons. So have strings with a colon,
which sends some valid texts the general way.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect as kinds

from asgi_realtime.connection.connection import Connection
from asgi_realtime.handlers.dependencies.markers import wanted
from asgi_realtime.handlers.event_handlers import handler_hints, handler_name
from asgi_realtime.handlers.injected import injected
from asgi_realtime.payloads.annotation_metadata import MSGSPEC
from asgi_realtime.payloads.validation import decide
from asgi_realtime.runtime.host_calls import is_plain, unwrap

_SCALARS = (kinds.IntType, kinds.FloatType, kinds.StrType, kinds.BoolType, kinds.NoneType, kinds.LiteralType)
_OBJECTS = (kinds.TypedDictType, kinds.StructType, kinds.DataclassType)


class DirectHandler(NamedTuple):
    """A handler of one payload, and of a connection if it wants one."""

    decode: Callable[[bytes], Any]
    """Decodes the payload. Raises an error of `json_text.NOT_JSON`."""
    colons: int | None
    """How many colons the text must have. None: any number."""
    call: Callable[[Any, Connection], Coroutine[Any, Any, Any]]
    """Returns the coroutine of the handler. It has not begun."""


def direct_handler(event: str, function: Callable[..., Any]) -> DirectHandler | None:
    """Return how to call the handler of an event with a payload in JSON. None: its payload cannot be decoded directly.

    The handler was bound before, so that its signature is known to be valid.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if is_plain(function) or unwrap(function) is not getattr(function, "__func__", function):
        return None
    if any(each.kind is not each.POSITIONAL_OR_KEYWORD or each.default is not each.empty for each in parameters):
        return None
    hints = handler_hints(function, handler_name(event, function))
    if any(wanted(each, hints.get(each.name, Any)) is not None for each in parameters):
        return None
    fillings = [injected(hints.get(each.name, Any), plain=False) for each in parameters]
    call: Callable[[Any, Connection], Coroutine[Any, Any, Any]]
    if fillings == [None, Connection]:
        call = function
    elif fillings == [Connection, None]:
        call = functools.partial(_connection_first, function)
    elif fillings == [None]:
        call = functools.partial(_payload_only, function)
    else:
        return None
    annotation = hints.get(parameters[fillings.index(None)].name, Any)
    if annotation in (Any, object) or decide(annotation) != MSGSPEC:
        return None
    kind = kinds.type_info(annotation)
    if not _has_no_fields(kind) and not _is_flat(kind):
        return None
    colons = len(kind.fields) if isinstance(kind, _OBJECTS) else None
    return DirectHandler(msgspec.json.Decoder(annotation).decode, colons, call)


def _connection_first(
    function: Callable[..., Coroutine[Any, Any, Any]], payload: Any, connection: Connection
) -> Coroutine[Any, Any, Any]:
    return function(connection, payload)


def _payload_only(
    function: Callable[..., Coroutine[Any, Any, Any]], payload: Any, connection: Connection
) -> Coroutine[Any, Any, Any]:
    return function(payload)


def _has_no_fields(kind: kinds.Type) -> bool:
    """Whether it is a scalar, or a list of scalars."""
    if isinstance(kind, kinds.Metadata):
        return _has_no_fields(kind.type)
    if isinstance(kind, kinds.UnionType):
        return all(map(_has_no_fields, kind.types))
    if isinstance(kind, kinds.ListType):
        return _has_no_fields(kind.item_type)
    return isinstance(kind, _SCALARS)


def _is_flat(kind: kinds.Type) -> bool:
    """Whether it is an object all of whose fields are required, and have none themselves."""
    if isinstance(kind, kinds.StructType) and (kind.array_like or kind.tag_field is not None):
        return False
    return isinstance(kind, _OBJECTS) and all(field.required and _has_no_fields(field.type) for field in kind.fields)
