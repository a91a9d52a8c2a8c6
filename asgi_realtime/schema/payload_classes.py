"""What msgspec does not say about the classes of payloads: which fields may be missing, and what describes a class."""

from __future__ import annotations

import inspect
from typing import TypeAlias

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
    return (
        direction == "up" or unset or (isinstance(kind, kinds.StructType) and kind.cls.__struct_config__.omit_defaults)
    )


def first_paragraph(cls: type) -> str:
    """The first paragraph of the docstring of a class itself, not of its bases."""
    own = vars(cls).get("__doc__") or ""
    # A dataclass without a docstring gets its signature as one.
    return "" if own.startswith(f"{cls.__name__}(") else inspect.cleandoc(own).partition("\n\n")[0]
