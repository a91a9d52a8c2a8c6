"""What the types of payloads are made of in JSON, in the words of no language."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, TypeAlias


@dataclass(frozen=True)
class Plain:
    """A type without parts. `bytes` are an attachment of Socket.IO. `absent`: there is no value."""

    kind: Literal["any", "null", "absent", "boolean", "integer", "number", "string", "bytes"]


@dataclass(frozen=True)
class Values:
    """One of some values of JSON."""

    values: tuple[object, ...]


@dataclass(frozen=True)
class Choice:
    """One of some types."""

    types: tuple[Type, ...]


@dataclass(frozen=True)
class Intersection:
    """All of some types at once."""

    types: tuple[Type, ...]


@dataclass(frozen=True)
class Array:
    """An array of any length."""

    item: Type


@dataclass(frozen=True)
class FixedArray:
    """An array with a type for each place."""

    items: tuple[Type, ...]


@dataclass(frozen=True)
class Record:
    """An object with any names."""

    value: Type


@dataclass(frozen=True)
class Fields:
    """An object without a name of its own. `open`: it may have further fields."""

    fields: tuple[Field, ...]
    open: bool = False


@dataclass(frozen=True)
class Reference:
    """A `Definition` of this name."""

    name: str


@dataclass(frozen=True)
class HostType:
    """A type of the application, which the gateway only names."""

    name: str


Type: TypeAlias = Plain | Values | Choice | Intersection | Array | FixedArray | Record | Fields | Reference | HostType


@dataclass(frozen=True)
class Field:
    """A field of an object. `notes` are sentences on what its type does not say."""

    name: str
    type: Type
    required: bool = True
    notes: tuple[str, ...] = field(default=(), compare=False)


@dataclass(frozen=True)
class Definition:
    """A type with a name: the `Fields` of a class, or another type. Two are equal if only their texts differ."""

    name: str
    type: Type
    description: str = field(default="", compare=False)
