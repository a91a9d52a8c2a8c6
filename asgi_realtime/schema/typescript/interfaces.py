"""Converts Python types to TypeScript. Every class becomes an interface of the same name."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from msgspec import inspect as kinds

from asgi_realtime.payloads.validation import decide
from asgi_realtime.schema.gateway_kinds import Direction
from asgi_realtime.schema.payload_classes import PayloadClass, first_paragraph, may_be_missing
from asgi_realtime.schema.pydantic_schemas import is_pydantic, pydantic_schemas
from asgi_realtime.schema.sentences import sentence
from asgi_realtime.schema.typescript.comments import comment
from asgi_realtime.schema.typescript.names import check_interface_name, literal, property_name
from asgi_realtime.schema.typescript.schemas import BYTES, declaration, name_of, type_of

_SIMPLE: dict[type[kinds.Type], str] = {
    kinds.AnyType: "unknown",
    kinds.RawType: "unknown",
    kinds.NoneType: "null",
    kinds.BoolType: "boolean",
    kinds.IntType: "number",
    kinds.FloatType: "number",
    kinds.StrType: "string",
    kinds.DecimalType: "string",
    kinds.UUIDType: "string",
    kinds.DateTimeType: "string",
    kinds.DateType: "string",
    kinds.TimeType: "string",
    kinds.TimeDeltaType: "string",
    **dict.fromkeys((kinds.BytesType, kinds.ByteArrayType, kinds.MemoryViewType), BYTES),
}
_FORMATS: dict[type[kinds.Type], str] = {
    kinds.DateTimeType: "ISO 8601.",
    kinds.DateType: "An ISO 8601 date.",
    kinds.TimeType: "An ISO 8601 time.",
    kinds.TimeDeltaType: "An ISO 8601 duration.",
    kinds.UUIDType: "A UUID.",
    kinds.DecimalType: "A decimal number.",
}


class Interfaces:
    """The interfaces of one TypeScript file, each written once, and the names of the host's types in it."""

    def __init__(self) -> None:
        self.host_types: set[str] = set()
        self._classes: dict[str, type | None] = {}
        self._written: dict[tuple[str, Direction], list[str]] = {}

    def lines(self) -> list[str]:
        """The interfaces, in the order of their first use.

        Raises:
            ValueError: for a class whose two directions differ.
        """
        lines: list[str] = []
        for name in self._classes:
            up, down = self._written.get((name, "up")), self._written.get((name, "down"))
            if up and down and up != down:
                raise ValueError(
                    f"{name} is sent in both directions and has fields with defaults: use a class for each direction"
                )
            lines += [*(up or down or ()), ""]
        return lines

    def type_of(self, annotation: Any, direction: Direction) -> str:
        """The TypeScript type of an annotation. A field with a default is optional only for direction `up`.

        Raises:
            TypeError: for a type that has no form in TypeScript.
            ValueError: for two classes of one name, or a name that the file needs.
        """
        if isinstance(annotation, TypeVar):
            self.host_types.add(annotation.__name__)
            return f'Host["{annotation.__name__}"]'
        if direction == "up":
            decide(annotation)  # as for a handler's parameter
        if is_pydantic(annotation):
            return self._pydantic(annotation, direction)
        return self._type(kinds.type_info(annotation), direction)

    def _pydantic(self, annotation: Any, direction: Direction) -> str:
        schema, definitions = pydantic_schemas(annotation, direction)
        for reference, definition in definitions.items():
            name, lines = name_of(reference), declaration(reference, definition)
            check_interface_name(name)
            self._classes.setdefault(name, None)
            if _fields(self._written.setdefault((name, direction), lines)) != _fields(lines):
                raise ValueError(f"two payload types are named {name}: rename one")
        return type_of(schema)

    def _type(self, kind: kinds.Type, direction: Direction) -> str:
        match kind:
            case kinds.Metadata():
                return self._type(kind.type, direction)
            case kinds.LiteralType() | kinds.EnumType():
                values = kind.values if isinstance(kind, kinds.LiteralType) else [one.value for one in kind.cls]
                return " | ".join(literal(value) for value in values)
            case kinds.UnionType():
                return " | ".join(dict.fromkeys(self._type(one, direction) for one in kind.types))
            case kinds.ListType() | kinds.SetType() | kinds.FrozenSetType() | kinds.VarTupleType():
                item = self._type(kind.item_type, direction)
                return f"readonly ({item})[]" if "|" in item or item.startswith("readonly") else f"readonly {item}[]"
            case kinds.TupleType():
                return f"readonly [{', '.join(self._type(item, direction) for item in kind.item_types)}]"
            case kinds.DictType():
                return f"Readonly<Record<string, {self._type(kind.value_type, direction)}>>"
            case kinds.StructType() | kinds.DataclassType() | kinds.TypedDictType():
                return self._class(kind, direction)
            case kinds.CustomType():
                return self._pydantic(kind.cls, direction)
        try:
            return _SIMPLE[type(kind)]
        except KeyError:
            raise TypeError(f"{getattr(kind, 'cls', kind)!r} has no form in TypeScript") from None

    def _class(self, kind: PayloadClass, direction: Direction) -> str:
        name: str = kind.cls.__name__
        check_interface_name(name)
        if self._classes.setdefault(name, kind.cls) not in (kind.cls, None):
            raise ValueError(f"two payload types are named {name}: rename one")
        if (name, direction) not in self._written:
            self._written[name, direction] = []  # it may refer to itself
            self._written[name, direction] = self._interface(kind, direction)
        return name

    def _interface(self, kind: PayloadClass, direction: Direction) -> list[str]:
        name: str = kind.cls.__name__
        lines = [*comment(first_paragraph(kind.cls)), f"export interface {name} {{"]
        if isinstance(kind, kinds.StructType):
            if kind.array_like:
                raise TypeError(f"{name} is array_like, which has no form in TypeScript here")
            if kind.tag_field is not None:
                lines.append(f"  readonly {property_name(kind.tag_field)}: {literal(kind.tag)};")
        for field in kind.fields:
            lines += comment(*_notes(field.type), indent="  ")
            optional = "?" if may_be_missing(kind, field, direction) else ""
            lines.append(
                f"  readonly {property_name(field.encode_name)}{optional}: {self._type(field.type, direction)};"
            )
        return [*lines, "}"]


def _fields(lines: Sequence[str]) -> list[str]:
    """The lines of an interface without its comments."""
    return [line for line in lines if not line.lstrip().startswith(("*", "/*"))]


def _notes(kind: kinds.Type) -> list[str]:
    """Comments on a field: what TypeScript cannot express of its type."""
    if isinstance(kind, kinds.Metadata):
        described = (kind.extra_json_schema or {}).get("description", "")
        return [sentence(described), *_notes(kind.type)]
    if isinstance(kind, kinds.UnionType):
        return [note for one in kind.types for note in _notes(one)]
    notes = [_FORMATS[type(kind)]] if type(kind) in _FORMATS else []
    longest = getattr(kind, "max_length", None)
    if longest is not None:
        unit = "characters" if isinstance(kind, kinds.StrType) else "bytes" if type(kind) in _SIMPLE else "entries"
        notes.append(f"At most {longest} {unit}.")
    return notes
