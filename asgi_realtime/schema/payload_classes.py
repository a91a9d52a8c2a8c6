"""What msgspec does not say about the classes of payloads: which fields may be missing, and what describes a class."""

from __future__ import annotations

import inspect
import re
from typing import Any, TypeAlias, get_origin

import msgspec
from msgspec import inspect as kinds

from asgi_realtime.schema.gateway_kinds import Direction

PayloadClass: TypeAlias = kinds.StructType | kinds.DataclassType | kinds.TypedDictType


def may_be_missing(kind: PayloadClass, field: kinds.Field, direction: Direction) -> bool:
    """Whether a payload may be without a field. The server sends also fields that have their default."""
    if field.required:
        return False
    # A default of UNSET is shown as none at all.
    unset = field.default is msgspec.NODEFAULT and field.default_factory is msgspec.NODEFAULT
    if direction == "up" or unset:
        return True
    cls: Any = get_origin(kind.cls) or kind.cls  # `Page[int]` has no special attributes of `Page`
    return isinstance(kind, kinds.StructType) and bool(cls.__struct_config__.omit_defaults)


def class_name(cls: Any) -> str:
    """The name of a class in a program. That of `Page[int]` is `Page_int`, as pydantic has it."""
    if get_origin(cls) is None:
        return str(cls.__name__)
    return re.sub(r"\W+", "_", re.sub(r"[\w.<>]*\.", "", repr(cls))).strip("_")


def first_paragraph(cls: Any) -> str:
    """The first paragraph of the docstring of a class itself, not of its bases."""
    cls = get_origin(cls) or cls
    own = vars(cls).get("__doc__") or ""
    # A dataclass without a docstring gets its signature as one.
    return "" if own.startswith(f"{cls.__name__}(") else inspect.cleandoc(own).partition("\n\n")[0]
