"""Metadata of annotations: which library must validate it, and which metadata no library understands.

The same objects may also be parameter defaults, as in FastAPI.
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
# What pydantic supports of annotated_types. It ignores the rest, such as `Timezone` and `Unit`.
_CONSTRAINTS = {"Gt", "Ge", "Lt", "Le", "Interval", "MultipleOf", "MinLen", "MaxLen", "Len", "Predicate", "Not"}
_LIMITS = ("gt", "ge", "lt", "le", "multiple_of")
_LENGTHS = ("min_length", "max_length")
_SIZED = (str, bytes, list, dict, tuple, set, frozenset)
_NUMBERS = (int, float, bool)
_OF_MODELS = (
    *("alias", "validation_alias", "serialization_alias", "validate_default"),
    *("exclude", "init", "init_var", "kw_only", "frozen"),
)
"""Arguments of `Field()` that apply only to fields of models. Pydantic ignores them elsewhere."""


class Requirement(NamedTuple):
    """A part of an annotation that only one library understands."""

    package: str
    what: str
    """Describes the part and its place, for error messages."""


def is_field(value: object) -> bool:
    """Whether a value is what pydantic's `Field()` returns."""
    return any(base.__module__ == "pydantic.fields" and base.__name__ == "FieldInfo" for base in type(value).__mro__)


def metadata_of(annotation: Any) -> tuple[Any, ...]:
    """The metadata of an `Annotated`, the outermost last."""
    return annotation.__metadata__ if typing.get_origin(annotation) is Annotated else ()


def fastapi_marker(value: object) -> str | None:
    """The name of a FastAPI marker (`Depends`, `Query`, …). None: the default or metadata is no such marker."""
    kind = value if isinstance(value, type) else type(value)
    if isinstance(value, types.FunctionType):  # `Depends` without parentheses
        return value.__name__ if value.__module__.partition(".")[0] == "fastapi" else None
    return kind.__name__ if is_from(kind, "fastapi") else None


def fastapi_advice(name: str, where: str = "") -> str:
    """The error text that says what to write instead of a FastAPI marker."""
    if name in ("Depends", "Security"):
        return (
            f"{name}(…){where} fills a whole parameter of a handler, and no part of a payload: "
            "write `service: Annotated[Service, Depends(get_service)]`"
        )
    return (
        f"{name}(…){where} is FastAPI's and reads HTTP requests: an event's arguments need no marker; "
        "headers, cookies and the query are in connection.handshake during on_connect"
    )


def metadata_requirements(metadata: object, where: str) -> Iterator[Requirement]:
    """The requirements of one piece of `Annotated` metadata, or of a default.

    Raises:
        TypeError: for a FastAPI marker, or metadata that neither library understands.
    """
    kind = type(metadata)
    name = f"{kind.__name__}(…){where}"
    marker = fastapi_marker(metadata)
    if marker is not None:
        raise TypeError(fastapi_advice(marker, where))
    if metadata is None or isinstance(metadata, str) or (kind.__module__, kind.__name__) in _COMMENTS:
        return  # None: `conint()` and similar functions put it in place of constraints that were not given
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
    """Raise for arguments of `Field()` that apply only to fields, if the annotation is not one of a field.

    Raises:
        TypeError: for such an argument, such as an alias.
    """
    for metadata in metadata_of(annotation):
        for name in _OF_MODELS if is_field(metadata) else ():
            if getattr(metadata, name, None) is not None:
                raise TypeError(f"Field({name}=…){where} applies only to fields of a class; remove it")


def check_applies(metadata: Any, kind: Any, where: str) -> None:
    """Raise for a numeric limit on a text, or a length limit on a number: pydantic would fail for every value.

    Raises:
        TypeError: for such a limit.
    """
    origin = typing.get_origin(kind) or kind
    for constraint in metadata.metadata if is_field(metadata) else (metadata,):
        name = type(constraint).__name__
        limits = [getattr(constraint, limit, None) for limit in _LIMITS]
        if origin in _SIZED and any(isinstance(limit, int | float) for limit in limits):
            raise TypeError(f"{name}(…){where} limits numbers, but {kind!r} is not a number")
        if origin in _NUMBERS and any(getattr(constraint, limit, None) is not None for limit in _LENGTHS):
            raise TypeError(f"{name}(…){where} limits a length, but {kind!r} has no length")


def is_from(cls: type, *packages: str) -> bool:
    """Whether a class, or one of its base classes, is from one of these packages."""
    return any(f"{base.__module__}.".startswith(f"{package}.") for base in cls.__mro__ for package in packages)


def _shown(metadata: object) -> str:
    named = getattr(metadata, "__qualname__", None)
    return str(named) if named is not None else f"{type(metadata).__qualname__}(…)"
