"""Finds out which library must validate an annotation, and which parts neither library understands.

Annotations are read once, at start-up. The fields of pydantic models are not read, because pydantic checks them.
"""

from __future__ import annotations

import collections.abc
import dataclasses
import typing
from collections.abc import Iterator
from typing import Annotated, Any, TypeAlias

import msgspec

from asgi_realtime.payloads.annotation_metadata import (
    MSGSPEC,
    PYDANTIC,
    PYDANTIC_PACKAGES,
    Requirement,
    check_applies,
    check_no_field,
    fastapi_advice,
    fastapi_marker,
    is_field,
    is_from,
    metadata_of,
    metadata_requirements,
)

_SERVERS = ("starlette", "fastapi")
_QUALIFIERS = (typing.Required, typing.NotRequired, typing.Final, typing.ClassVar)

_Seen: TypeAlias = set[int]


def requirements(annotation: Any) -> Iterator[Requirement]:
    """Find the parts of an annotation that only pydantic or only msgspec understands, at any depth.

    Raises:
        TypeError: for a part that neither understands, such as a marker of FastAPI or metadata of another library.
    """
    return _requirements(annotation, "", set())


def types_in(annotation: Any) -> Iterator[type]:
    """Every class in an annotation. The fields of these classes are not read."""
    if isinstance(annotation, type) and typing.get_origin(annotation) is None:
        yield annotation
    for argument in typing.get_args(annotation):
        yield from types_in(argument)


def _requirements(annotation: Any, where: str, seen: _Seen) -> Iterator[Requirement]:
    if isinstance(annotation, typing.TypeVar):
        for bound in (annotation.__bound__, *annotation.__constraints__):
            yield from _requirements(bound, where, seen)
        return
    if hasattr(annotation, "__supertype__"):  # a NewType
        yield from _requirements(annotation.__supertype__, where, seen)
        return
    if type(annotation).__name__ == "TypeAliasType":
        if id(annotation) not in seen:
            seen.add(id(annotation))
            yield Requirement(PYDANTIC, f"the type alias {annotation.__name__}{where}")
            yield from _requirements(annotation.__value__, where, seen)
        return
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        yield from _requirements(arguments[0], where, seen)
        for metadata in arguments[1:]:
            check_applies(metadata, arguments[0], where)
            yield from metadata_requirements(metadata, where)
        return
    if origin is typing.Literal:
        return
    if origin in (collections.abc.Callable, type) or annotation in (collections.abc.Callable, type):
        raise TypeError(f"JSON has no functions and no classes: {annotation!r}{where} cannot be filled")
    if origin is not None:
        yield from _requirements(origin, where, seen)
        for argument in arguments:
            if origin not in _QUALIFIERS:
                check_no_field(argument, where)
                if any(is_field(one) and not one.is_required() for one in metadata_of(argument)):
                    raise TypeError(f"the default in Field(…){where} has no effect inside {annotation!r}; remove it")
            yield from _requirements(argument, where, seen)
    elif isinstance(annotation, type):
        yield from _class(annotation, where, seen)


def _class(cls: type, where: str, seen: _Seen) -> Iterator[Requirement]:
    if id(cls) in seen:
        return
    seen.add(id(cls))
    name = cls.__qualname__
    if is_from(cls, *_SERVERS) and not hasattr(cls, "__pydantic_validator__"):
        raise TypeError(
            f"{name}{where} belongs to an HTTP request or response, and an event has none: "
            "take `connection: Connection` and use connection.handshake"
        )
    if (cls.__module__, name) == ("pydantic.main", "BaseModel"):
        raise TypeError(f"BaseModel{where} has no fields: annotate a model that extends it")
    if _is_pydantic(cls):
        kind = "type" if cls.__module__.partition(".")[0] in PYDANTIC_PACKAGES else "model"
        yield Requirement(PYDANTIC, f"the pydantic {kind} {name}{where}")
        return
    if issubclass(cls, msgspec.Struct) or cls.__module__.partition(".")[0] == "msgspec":
        yield Requirement(MSGSPEC, f"the Struct {name}{where}" if issubclass(cls, msgspec.Struct) else f"{name}{where}")
    if hasattr(cls, "__attrs_attrs__"):
        yield Requirement(MSGSPEC, f"the attrs class {name}{where}")
    if not _has_fields(cls):
        return
    inside = f" of {name}{where}"
    for field, default in _defaults(cls):
        marker = fastapi_marker(default)
        if marker is not None:
            raise TypeError(fastapi_advice(marker, f" as the default of {field}{inside}"))
        if is_field(default):
            yield Requirement(PYDANTIC, f"pydantic's Field(…) as the default of {field}{inside}")
    for base in cls.__mro__:
        for member, value in vars(base).items():
            if is_from(type(value), "pydantic._internal._decorators"):
                yield Requirement(PYDANTIC, f"pydantic's decorator on {member}{inside}")
    if hasattr(cls, "__pydantic_config__"):
        yield Requirement(PYDANTIC, f"__pydantic_config__{inside}")
    for field, hint in _fields(cls).items():
        yield from _requirements(hint, f" at the field {field}{inside}", seen)


def _is_pydantic(cls: type) -> bool:
    """Models, pydantic dataclasses and types, and classes that define how pydantic validates them."""
    return (
        hasattr(cls, "__get_pydantic_core_schema__")
        or hasattr(cls, "__pydantic_validator__")
        or is_from(cls, *PYDANTIC_PACKAGES)
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
