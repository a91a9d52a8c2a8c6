"""Metadata of annotations: what a piece of it demands of the library that validates, and what no library understands.

The same objects stand in the places of defaults, where people write them by habit.
"""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import msgspec

PYDANTIC: typing.Final = "pydantic"
MSGSPEC: typing.Final = "msgspec"

PYDANTIC_PACKAGES = ("pydantic", "pydantic_core", "pydantic_extra_types")
_COMMENTS = {("typing_extensions", "Doc"), ("annotated_doc", "Doc"), ("annotated_types", "DocInfo")}
# What pydantic knows of annotated_types. It ignores the rest, `Timezone` and `Unit` say.
_CONSTRAINTS = {"Gt", "Ge", "Lt", "Le", "Interval", "MultipleOf", "MinLen", "MaxLen", "Len", "Predicate", "Not"}
_LIMITS = ("gt", "ge", "lt", "le", "multiple_of")
_LENGTHS = ("min_length", "max_length")
_SIZED = (str, bytes, list, dict, tuple, set, frozenset)
_NUMBERS = (int, float, bool)
_OF_MODELS = (
    *("alias", "validation_alias", "serialization_alias", "validate_default"),
    *("exclude", "init", "init_var", "kw_only", "frozen"),
)
"""What `Field()` says of a model's field, and what pydantic ignores elsewhere."""


class Requirement(NamedTuple):
    """A part of an annotation that one library alone understands."""

    package: str
    what: str
    """What it is and where, in words."""


def is_field(value: object) -> bool:
    """Whether a value is what pydantic's `Field()` returns."""
    return any(base.__module__ == "pydantic.fields" and base.__name__ == "FieldInfo" for base in type(value).__mro__)


def metadata_of(annotation: Any) -> tuple[Any, ...]:
    """The metadata of an `Annotated`, outermost last."""
    return annotation.__metadata__ if typing.get_origin(annotation) is Annotated else ()


def fastapi_marker(value: object) -> str | None:
    """The name of FastAPI's marker (`Depends`, `Query`, …) that a default or a piece of metadata is, if it is one."""
    kind = value if isinstance(value, type) else type(value)
    if isinstance(value, types.FunctionType):  # `Depends`, not called
        return value.__name__ if value.__module__.partition(".")[0] == "fastapi" else None
    return kind.__name__ if is_from(kind, "fastapi") else None


def fastapi_advice(name: str, where: str = "") -> str:
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


def metadata_requirements(metadata: object, where: str) -> Iterator[Requirement]:
    """What a piece of `Annotated` metadata, or what stands in a default's place, demands."""
    kind = type(metadata)
    name = f"{kind.__name__}(…){where}"
    marker = fastapi_marker(metadata)
    if marker is not None:
        raise TypeError(fastapi_advice(marker, where))
    if metadata is None or isinstance(metadata, str) or (kind.__module__, kind.__name__) in _COMMENTS:
        return  # None: `conint()` and its like leave it in the places of constraints that were not given
    if isinstance(metadata, msgspec.Meta):
        yield Requirement(MSGSPEC, f"msgspec.{name}")
    elif hasattr(metadata, "__get_pydantic_core_schema__") or is_from(kind, *PYDANTIC_PACKAGES):
        yield Requirement(PYDANTIC, f"pydantic's {name}")
    elif kind.__module__ == "annotated_types" and kind.__name__ in _CONSTRAINTS:
        yield Requirement(PYDANTIC, f"annotated_types' {name}")
    elif any(base.__module__ == "annotated_types" and base.__name__ == "GroupedMetadata" for base in kind.__mro__):
        for one in typing.cast("typing.Iterable[object]", metadata):
            yield from metadata_requirements(one, where)
    else:
        raise TypeError(
            f"neither pydantic nor msgspec understands the metadata {_shown(metadata)}{where}: "
            "it would not be enforced; remove it"
        )


def check_no_field(annotation: Any, where: str = "") -> None:
    """Refuse what `Field()` says of fields alone, where the annotation is no field's.

    Raises:
        TypeError: for an alias, say.
    """
    for metadata in metadata_of(annotation):
        for name in _OF_MODELS if is_field(metadata) else ():
            if getattr(metadata, name, None) is not None:
                raise TypeError(f"Field({name}=…){where} means something for a field of a class alone; remove it")


def check_applies(metadata: Any, kind: Any, where: str) -> None:
    """Refuse a limit on numbers for a text, or on a length for a number: pydantic fails with each value."""
    origin = typing.get_origin(kind) or kind
    for constraint in metadata.metadata if is_field(metadata) else (metadata,):
        name = type(constraint).__name__
        limits = [getattr(constraint, limit, None) for limit in _LIMITS]
        if origin in _SIZED and any(isinstance(limit, int | float) for limit in limits):
            raise TypeError(f"{name}(…){where} limits numbers, and {kind!r} is none")
        if origin in _NUMBERS and any(getattr(constraint, limit, None) is not None for limit in _LENGTHS):
            raise TypeError(f"{name}(…){where} limits a length, and {kind!r} has none")


def is_from(cls: type, *packages: str) -> bool:
    """Whether a class, or one of those it extends, is from one of these packages."""
    return any(f"{base.__module__}.".startswith(f"{package}.") for base in cls.__mro__ for package in packages)


def _shown(metadata: object) -> str:
    named = getattr(metadata, "__qualname__", None)
    return str(named) if named is not None else f"{type(metadata).__qualname__}(…)"
