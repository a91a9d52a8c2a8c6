"""Makes `typing.TypedDict` usable for pydantic on Python 3.11, where pydantic needs that of typing_extensions."""

from __future__ import annotations

import sys
import types
import typing
from typing import Annotated, Any, Union, cast


def with_readable_typed_dicts(annotation: Any) -> Any:
    """Return the annotation with every TypedDict replaced by one that pydantic can read.

    A TypedDict in a field of a dataclass is not replaced. Pydantic's error then says what to import.
    """
    return annotation if sys.version_info >= (3, 12) else _convert(annotation, {})


def _convert(annotation: Any, copies: dict[type, type]) -> Any:
    if typing.is_typeddict(annotation) and type(annotation).__module__ == "typing":
        return copies.get(annotation) or _copy(annotation, copies)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        inner = _convert(arguments[0], copies)
        return annotation if inner is arguments[0] else Annotated.__class_getitem__((inner, *arguments[1:]))
    if origin is None or origin is typing.Literal:
        return annotation
    inside = tuple(_convert(argument, copies) for argument in arguments)
    if all(new is old for new, old in zip(inside, arguments, strict=True)):
        return annotation
    if origin in (Union, types.UnionType):
        return Union[inside]  # noqa: UP007
    return annotation.copy_with(inside) if hasattr(annotation, "copy_with") else origin[inside]


def _copy(annotation: Any, copies: dict[type, type]) -> type:
    import typing_extensions  # pydantic depends on it

    copy = cast("Any", typing_extensions.TypedDict)(annotation.__name__, {})
    copies[annotation] = copy  # it may refer to itself
    for name in ("__module__", "__qualname__", "__doc__", "__required_keys__", "__optional_keys__"):
        setattr(copy, name, getattr(annotation, name))
    if hasattr(annotation, "__pydantic_config__"):
        copy.__pydantic_config__ = annotation.__pydantic_config__
    hints = typing.get_type_hints(annotation, include_extras=True)
    copy.__annotations__ = {name: _convert(hint, copies) for name, hint in hints.items()}
    return cast("type", copy)
