"""What an annotation is made of: which library must understand it, and what neither does.

Read once, at start-up. The parts of pydantic's own classes are pydantic's business and not looked at.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple, TypeAlias

import msgspec

PYDANTIC: typing.Final = "pydantic"
MSGSPEC: typing.Final = "msgspec"

_MARKERS = "fastapi"
_PYDANTIC = ("pydantic", "pydantic_core", "pydantic_extra_types")
_SERVERS = ("starlette", "fastapi")
_COMMENTS = {("typing_extensions", "Doc"), ("annotated_doc", "Doc"), ("annotated_types", "DocInfo")}
# What pydantic knows of annotated_types. It ignores the rest, `Timezone` and `Unit` say.
_CONSTRAINTS = {"Gt", "Ge", "Lt", "Le", "Interval", "MultipleOf", "MinLen", "MaxLen", "Len", "Predicate", "Not"}


class Found(NamedTuple):
    """A part of an annotation that one library alone understands."""

    library: str
    what: str
    """What it is and where, in words."""


_Seen: TypeAlias = set[int]


def parts(annotation: Any) -> Iterator[Found]:
    """Find the parts of an annotation that pydantic alone, or msgspec alone, understands, at any depth.

    Raises:
        TypeError: for a part that neither understands, such as a marker of FastAPI or metadata of another library.
    """
    return _parts(annotation, "", set())


def fastapi_marker(value: object) -> str | None:
    """The name of FastAPI's marker (`Depends`, `Query`, …) that a default or a piece of metadata is, if it is one."""
    kind = value if isinstance(value, type) else type(value)
    if isinstance(value, types.FunctionType):  # `Depends`, not called
        return value.__name__ if value.__module__.partition(".")[0] == _MARKERS else None
    return kind.__name__ if _of(kind, _MARKERS) else None


def is_field(value: object) -> bool:
    """Whether a value is what pydantic's `Field()` returns."""
    return any(base.__module__ == "pydantic.fields" and base.__name__ == "FieldInfo" for base in type(value).__mro__)


def metadata_of(annotation: Any) -> tuple[Any, ...]:
    """The metadata of an `Annotated`, outermost last."""
    return annotation.__metadata__ if typing.get_origin(annotation) is Annotated else ()


def types_in(annotation: Any) -> Iterator[type]:
    """Every class that an annotation names outside of other classes' fields."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        yield annotation
    for argument in typing.get_args(annotation):
        yield from types_in(argument)


def _parts(annotation: Any, where: str, seen: _Seen) -> Iterator[Found]:
    if isinstance(annotation, typing.TypeVar):
        for bound in (annotation.__bound__, *annotation.__constraints__):
            yield from _parts(bound, where, seen)
        return
    if hasattr(annotation, "__supertype__"):  # a NewType
        yield from _parts(annotation.__supertype__, where, seen)
        return
    if type(annotation).__name__ == "TypeAliasType":
        if id(annotation) not in seen:
            seen.add(id(annotation))
            yield Found(PYDANTIC, f"the type alias {annotation.__name__}{where}")
            yield from _parts(annotation.__value__, where, seen)
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        yield from _parts(arguments[0], where, seen)
        for metadata in arguments[1:]:
            yield from _metadata(metadata, where)
        return
    if origin is typing.Literal:
        return
    if origin in (collections.abc.Callable, type) or annotation is collections.abc.Callable:
        raise TypeError(f"no JSON value is a function or a class: {annotation!r}{where} cannot be filled")
    if origin is not None:
        yield from _parts(origin, where, seen)
        for argument in arguments:
            yield from _parts(argument, where, seen)
    elif isinstance(annotation, type):
        yield from _class(annotation, where, seen)


def _metadata(metadata: object, where: str) -> Iterator[Found]:
    """What a piece of `Annotated` metadata, or what stands in a default's place, demands."""
    kind = type(metadata)
    name = f"{kind.__name__}(…){where}"
    marker = fastapi_marker(metadata)
    if marker is not None:
        raise TypeError(instead_of(marker, where))
    if isinstance(metadata, str) or (kind.__module__, kind.__name__) in _COMMENTS:
        return
    if isinstance(metadata, msgspec.Meta):
        yield Found(MSGSPEC, f"msgspec.{name}")
    elif hasattr(metadata, "__get_pydantic_core_schema__") or _of(kind, *_PYDANTIC):
        yield Found(PYDANTIC, f"pydantic's {name}")
    elif kind.__module__ == "annotated_types" and kind.__name__ in _CONSTRAINTS:
        yield Found(PYDANTIC, f"annotated_types' {name}")
    elif any(base.__module__ == "annotated_types" and base.__name__ == "GroupedMetadata" for base in kind.__mro__):
        for one in typing.cast("typing.Iterable[object]", metadata):
            yield from _metadata(one, where)
    else:
        raise TypeError(
            f"neither pydantic nor msgspec understands the metadata {_shown(metadata)}{where}: "
            "it would not be enforced; remove it"
        )


def instead_of(name: str, where: str = "") -> str:
    """Say what to do instead of a marker of FastAPI."""
    if name in ("Depends", "Security"):
        return (
            f"{name}(…){where} is FastAPI's and cannot be filled here: Connection, Identity and Broadcaster are "
            "injected by their annotation alone; pass services to the gateway's __init__"
        )
    return (
        f"{name}(…){where} is FastAPI's and reads HTTP requests: an event's arguments need no marker; "
        "headers, cookies and the query are in connection.handshake during on_connect"
    )


def _class(cls: type, where: str, seen: _Seen) -> Iterator[Found]:
    if id(cls) in seen:
        return
    seen.add(id(cls))
    name = cls.__qualname__
    if _of(cls, *_SERVERS) and not hasattr(cls, "__pydantic_validator__"):
        raise TypeError(
            f"{name}{where} belongs to an HTTP request or response, and an event has none: "
            "take `connection: Connection`; connection.handshake says how the client came"
        )
    if (cls.__module__, name) == ("pydantic.main", "BaseModel"):
        raise TypeError(f"BaseModel{where} has no fields: annotate a model that extends it")
    if _is_pydantic(cls):
        kind = "type" if cls.__module__.partition(".")[0] in _PYDANTIC else "model"
        yield Found(PYDANTIC, f"the pydantic {kind} {name}{where}")
        return
    if issubclass(cls, msgspec.Struct) or cls.__module__.partition(".")[0] == "msgspec":
        yield Found(MSGSPEC, f"the Struct {name}{where}" if issubclass(cls, msgspec.Struct) else f"{name}{where}")
    if hasattr(cls, "__attrs_attrs__"):
        yield Found(MSGSPEC, f"the attrs class {name}{where}")
    if not _has_fields(cls):
        return
    inside = f" of {name}{where}"
    for field, default in _defaults(cls):
        marker = fastapi_marker(default)
        if marker is not None:
            raise TypeError(instead_of(marker, f" as the default of {field}{inside}"))
        if is_field(default):
            yield Found(PYDANTIC, f"pydantic's Field(…) as the default of {field}{inside}")
    for base in cls.__mro__:
        for member, value in vars(base).items():
            if _of(type(value), "pydantic._internal._decorators"):
                yield Found(PYDANTIC, f"pydantic's decorator on {member}{inside}")
    if hasattr(cls, "__pydantic_config__"):
        yield Found(PYDANTIC, f"__pydantic_config__{inside}")
    for field, hint in _fields(cls).items():
        yield from _parts(hint, f" at the field {field}{inside}", seen)


def _is_pydantic(cls: type) -> bool:
    """Models, pydantic's dataclasses and types, and whatever says to pydantic how it is validated."""
    return (
        hasattr(cls, "__get_pydantic_core_schema__") or hasattr(cls, "__pydantic_validator__") or _of(cls, *_PYDANTIC)
    )


def _has_fields(cls: type) -> bool:
    return (
        issubclass(cls, msgspec.Struct)
        or dataclasses.is_dataclass(cls)
        or hasattr(cls, "__required_keys__")  # a TypedDict, of typing or of typing_extensions
        or hasattr(cls, "__attrs_attrs__")
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
    )


def _fields(cls: type) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise TypeError(
            f"{cls.__qualname__}: the annotation {error.name!r} cannot be resolved; define it at module level"
        ) from None


def _defaults(cls: type) -> Iterator[tuple[str, object]]:
    if issubclass(cls, msgspec.Struct):
        for field in msgspec.structs.fields(cls):
            yield field.name, field.default
    elif dataclasses.is_dataclass(cls):
        for one in dataclasses.fields(cls):
            yield one.name, one.default
    elif hasattr(cls, "__attrs_attrs__"):
        for attribute in cls.__attrs_attrs__:
            yield attribute.name, attribute.default
    else:
        yield from getattr(cls, "_field_defaults", {}).items()


def _of(cls: type, *packages: str) -> bool:
    """Whether a class, or one of those it extends, is from one of these packages."""
    return any(f"{base.__module__}.".startswith(f"{package}.") for base in cls.__mro__ for package in packages)


def _shown(metadata: object) -> str:
    named = getattr(metadata, "__qualname__", None)
    return str(named) if named is not None else f"{type(metadata).__qualname__}(…)"
