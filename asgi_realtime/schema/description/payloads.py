"""Reads the Python types of payloads. Every class becomes a definition of the same name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeVar

from msgspec import inspect as kinds

from asgi_realtime.payloads.validation import decide
from asgi_realtime.schema.description.json_schemas import definition_of, type_of
from asgi_realtime.schema.description.types import (
    Array,
    Choice,
    Definition,
    Field,
    Fields,
    FixedArray,
    HostType,
    Plain,
    Record,
    Reference,
    Type,
    Values,
)
from asgi_realtime.schema.gateway_kinds import Direction
from asgi_realtime.schema.payload_classes import PayloadClass, class_name, first_paragraph, may_be_missing
from asgi_realtime.schema.pydantic_schemas import is_pydantic, pydantic_schemas
from asgi_realtime.schema.sentences import sentence

_PLAIN: dict[type[kinds.Type], Plain] = {
    kinds.AnyType: Plain("any"),
    kinds.RawType: Plain("any"),
    kinds.NoneType: Plain("null"),
    kinds.BoolType: Plain("boolean"),
    kinds.IntType: Plain("integer"),
    kinds.FloatType: Plain("number"),
    kinds.StrType: Plain("string"),
    kinds.DecimalType: Plain("string"),
    kinds.UUIDType: Plain("string"),
    kinds.DateTimeType: Plain("string"),
    kinds.DateType: Plain("string"),
    kinds.TimeType: Plain("string"),
    kinds.TimeDeltaType: Plain("string"),
    **dict.fromkeys((kinds.BytesType, kinds.ByteArrayType, kinds.MemoryViewType), Plain("bytes")),
}
_FORMATS: dict[type[kinds.Type], str] = {
    kinds.DateTimeType: "ISO 8601.",
    kinds.DateType: "An ISO 8601 date.",
    kinds.TimeType: "An ISO 8601 time.",
    kinds.TimeDeltaType: "An ISO 8601 duration.",
    kinds.UUIDType: "A UUID.",
    kinds.DecimalType: "A decimal number.",
}


class PayloadTypes:
    """The types of the payloads of one gateway, and the definitions that they refer to."""

    def __init__(self) -> None:
        self._classes: dict[str, type | None] = {}
        self._found: dict[tuple[str, Direction], Definition] = {}

    def definitions(self) -> list[Definition]:
        """The definitions, in the order of their first use.

        Raises:
            ValueError: for a class whose two directions differ.
        """
        definitions = []
        for name in self._classes:
            up, down = self._found.get((name, "up")), self._found.get((name, "down"))
            if up and down and up != down:
                raise ValueError(
                    f"{name} is sent in both directions and has fields with defaults: use a class for each direction"
                )
            definitions += [each for each in (up or down,) if each is not None]
        return definitions

    def type_of(self, annotation: Any, direction: Direction) -> Type:
        """The type of an annotation. A field with a default is optional only for direction `up`.

        Raises:
            TypeError: for a type that has no form in JSON that clients could know.
            ValueError: for two classes of one name, or a name that is no identifier.
        """
        if isinstance(annotation, TypeVar):
            _check_name(annotation.__name__)
            return HostType(annotation.__name__)
        if direction == "up":
            decide(annotation)  # as for a handler's parameter
        if is_pydantic(annotation):
            return self._pydantic(annotation, direction)
        return self._type(kinds.type_info(annotation), direction)

    def _pydantic(self, annotation: Any, direction: Direction) -> Type:
        schema, schemas = pydantic_schemas(annotation, direction)
        for reference, one in schemas.items():
            definition = definition_of(reference, one)
            _check_name(definition.name)
            self._classes.setdefault(definition.name, None)
            if self._found.setdefault((definition.name, direction), definition) != definition:
                raise ValueError(f"two payload types are named {definition.name}: rename one")
        return type_of(schema)

    def _type(self, kind: kinds.Type, direction: Direction) -> Type:
        match kind:
            case kinds.Metadata():
                return self._type(kind.type, direction)
            case kinds.LiteralType():
                return Values(tuple(kind.values))
            case kinds.EnumType():
                return Values(tuple(one.value for one in kind.cls))
            case kinds.UnionType():
                return Choice(tuple(self._type(one, direction) for one in kind.types))
            case kinds.ListType() | kinds.SetType() | kinds.FrozenSetType() | kinds.VarTupleType():
                return Array(self._type(kind.item_type, direction))
            case kinds.TupleType():
                return FixedArray(tuple(self._type(item, direction) for item in kind.item_types))
            case kinds.DictType():
                return Record(self._type(kind.value_type, direction))
            case kinds.StructType() | kinds.DataclassType() | kinds.TypedDictType() | kinds.NamedTupleType():
                return self._class(kind, direction)
            case kinds.CustomType():
                return self._pydantic(kind.cls, direction)
        try:
            return _PLAIN[type(kind)]
        except KeyError:
            raise TypeError(f"{getattr(kind, 'cls', kind)!r} has no form in the types of clients") from None

    def _class(self, kind: PayloadClass | kinds.NamedTupleType, direction: Direction) -> Type:
        name = class_name(kind.cls)
        _check_name(name)
        if self._classes.setdefault(name, kind.cls) not in (kind.cls, None):
            raise ValueError(f"two payload types are named {name}: rename one")
        if (name, direction) not in self._found:
            self._found[name, direction] = Definition(name, Fields(()))  # it may refer to itself
            if isinstance(kind, kinds.NamedTupleType):  # JSON has it as an array
                found: Type = FixedArray(tuple(self._type(field.type, direction) for field in kind.fields))
            else:
                found = Fields(tuple(self._fields(kind, direction)))
            self._found[name, direction] = Definition(name, found, first_paragraph(kind.cls))
        return Reference(name)

    def _fields(self, kind: PayloadClass, direction: Direction) -> Iterator[Field]:
        if isinstance(kind, kinds.StructType):
            if kind.array_like:
                raise TypeError(f"{kind.cls.__name__} is array_like, which has no form in the types of clients")
            if kind.tag_field is not None:
                yield Field(kind.tag_field, Values((kind.tag,)))
        for field in kind.fields:
            yield Field(
                field.encode_name,
                self._type(field.type, direction),
                required=not may_be_missing(kind, field, direction),
                notes=tuple(_notes(field.type)),
            )


def _check_name(name: str) -> None:
    if not name.isidentifier():
        raise ValueError(f"a payload type is named {name!r}, which is no name in a program: rename it")


def _notes(kind: kinds.Type) -> Iterator[str]:
    if isinstance(kind, kinds.Metadata):
        yield sentence((kind.extra_json_schema or {}).get("description", ""))
        yield from _notes(kind.type)
    elif isinstance(kind, kinds.UnionType):
        for one in kind.types:
            yield from _notes(one)
    else:
        if type(kind) in _FORMATS:
            yield _FORMATS[type(kind)]
        longest = getattr(kind, "max_length", None)
        if longest is not None:
            unit = "characters" if isinstance(kind, kinds.StrType) else "bytes" if type(kind) in _PLAIN else "entries"
            yield f"At most {longest} {unit}."
