"""Reads the parameters of handlers: injected objects, validated arguments of the event, and defaults."""

from __future__ import annotations

import copy
import dataclasses
import enum
import functools
import inspect
import typing
from collections import deque
from collections.abc import Callable, Sequence
from typing import Annotated, Any, NamedTuple

import msgspec

from asgi_realtime.errors import ConfigurationError, InvalidMessage
from asgi_realtime.handlers.dependencies.markers import Wanted, wanted
from asgi_realtime.handlers.injected import HABITS, bare, injected
from asgi_realtime.payloads.annotation_metadata import fastapi_advice, fastapi_marker, is_field, metadata_of
from asgi_realtime.payloads.plain_values import to_builtins
from asgi_realtime.payloads.validation import Validate, validator

_MUTABLE = (list, dict, set, bytearray, deque, msgspec.Struct)

_DECLARATIONS = {
    *(("msgspec._core", "Field"), ("attr._make", "_CountingAttr"), ("pydantic.fields", "ModelPrivateAttr")),
    *(("annotated_types", name) for name in ("Gt", "Ge", "Lt", "Le", "MultipleOf", "MinLen", "MaxLen", "Len")),
}


class Parameter(NamedTuple):
    """What a parameter gets."""

    injected: type | None
    """`Connection`, `Broadcaster`, `Identity` or a subclass of it; None: the event's next argument."""
    validate: Validate | None
    """Converts the argument. For `*rest`: converts the list of all remaining arguments."""
    default: Callable[[], Any] | None
    """Makes the default. None: the argument is required."""


def read_dependency(parameter: inspect.Parameter, annotation: Any, where: str) -> Wanted | None:
    """Read once, at start-up, what fills a parameter that is a dependency. None: it is none.

    Raises:
        ConfigurationError: for one that cannot be filled. It begins with `where`.
    """
    where = f"{where}: parameter {parameter.name!r}"
    try:
        found = wanted(parameter, annotation)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}") from None
    if found is not None and parameter.kind not in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
        raise ConfigurationError(f"{where} cannot be filled; make it positional")
    return found


def read(parameter: inspect.Parameter, annotation: Any, where: str, *, plain: bool) -> Parameter:
    """Read a parameter once, at start-up. `plain`: of a function that runs in a thread.

    Raises:
        ConfigurationError: for what cannot be filled or would not be enforced. It begins with `where`.
    """
    where = f"{where}: parameter {parameter.name!r}"
    if parameter.kind in (parameter.KEYWORD_ONLY, parameter.VAR_KEYWORD):
        raise ConfigurationError(f"{where} cannot be filled; make it positional")
    try:
        return _read(parameter, annotation, plain)
    except TypeError as error:
        raise ConfigurationError(f"{where}: {error}") from None


def payload_type(parameter: inspect.Parameter, annotation: Any) -> Any:
    """What a client sends for a parameter, with the constraints of a `Field()` in its default's place."""
    return Annotated[annotation, parameter.default] if is_field(parameter.default) else annotation


def _read(parameter: inspect.Parameter, annotation: Any, plain: bool) -> Parameter:
    marker = fastapi_marker(parameter.default)
    if marker is not None:
        raise TypeError(fastapi_advice(marker))
    kind = injected(annotation, plain=plain)
    if kind is not None:
        return Parameter(kind, None, None)
    if parameter.annotation is parameter.empty and parameter.name in HABITS:
        raise TypeError(f"without an annotation the client would fill it: annotate it, as `{HABITS[parameter.name]}`")
    annotation = payload_type(parameter, annotation)
    fields = [metadata for metadata in metadata_of(annotation) if is_field(metadata)]
    if parameter.kind is parameter.VAR_POSITIONAL:
        # One call for all of them: there may be hundreds of thousands.
        return Parameter(None, validator(annotation if annotation is Any else list[annotation]), None)
    return Parameter(None, validator(annotation), _default(parameter, annotation, fields))


def _default(parameter: inspect.Parameter, annotation: Any, fields: Sequence[Any]) -> Callable[[], Any] | None:
    if parameter.default is not parameter.empty and not is_field(parameter.default):
        return _maker(parameter.default, annotation)
    field = next((field for field in reversed(fields) if not field.is_required()), None)
    if field is None:
        return None
    if field.default_factory is None:
        return _maker(field.default, annotation)
    try:
        inspect.signature(field.default_factory).bind()
    except TypeError:
        raise TypeError("a default_factory that takes other fields means nothing for a parameter") from None
    except ValueError:  # some classes written in C have no signature
        pass
    return typing.cast("Callable[[], Any]", field.default_factory)


def _maker(default: Any, annotation: Any) -> Callable[[], Any]:
    """A function that returns the default. A mutable default is copied for each call."""
    if not _fits(default, bare(annotation)):
        raise TypeError(f"its default, of type {type(default).__name__}, does not fit its annotation")
    if isinstance(default, _MUTABLE) or hasattr(default, "__dict__") or dataclasses.is_dataclass(default):
        return functools.partial(copy.deepcopy, default)
    return lambda: default


def _fits(default: object, kind: Any) -> bool:
    """Whether a default is a value of a type. None and sentinels are; constraints do not concern it."""
    if default is ... or _is_declaration(default):
        return False
    if default is None or type(default) is object or isinstance(default, enum.Enum | msgspec.UnsetType):
        return True
    if isinstance(kind, type) and kind not in (Any, object) and isinstance(default, kind):
        return True
    validate = validator(kind)
    try:
        validate(default)
    except InvalidMessage:
        pass
    else:
        if kind is not Any:
            return True
    try:
        validate(to_builtins(default))
    except (InvalidMessage, TypeError):
        return False
    return True


def _is_declaration(default: object) -> bool:
    """Whether it describes a value and is not a value itself: `dataclasses.field()`, `msgspec.Meta()`, `Gt(0)`."""
    kind = type(default)
    return isinstance(default, dataclasses.Field | msgspec.Meta) or (kind.__module__, kind.__name__) in _DECLARATIONS
