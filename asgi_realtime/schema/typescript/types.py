"""Writes types in TypeScript. Every definition becomes an interface or a type alias of its name."""

from __future__ import annotations

from collections.abc import Iterator

from asgi_realtime.schema.description.types import (
    Array,
    Choice,
    Definition,
    Field,
    Fields,
    FixedArray,
    HostType,
    Intersection,
    Plain,
    Record,
    Reference,
    Type,
    Values,
)
from asgi_realtime.schema.typescript.comments import comment
from asgi_realtime.schema.typescript.names import literal, property_name

_PLAIN = {
    "any": "unknown",
    "null": "null",
    "absent": "undefined",
    "boolean": "boolean",
    "integer": "number",
    "number": "number",
    "string": "string",
    # Either may be sent. Browsers receive the first, and Node the second.
    "bytes": "ArrayBuffer | Uint8Array",
}


def type_text(kind: Type) -> str:
    """A type in TypeScript."""
    match kind:
        case Plain():
            return _PLAIN[kind.kind]
        case Values():
            return " | ".join(literal(value) for value in kind.values)
        case Choice():
            return " | ".join(dict.fromkeys(map(type_text, kind.types)))
        case Intersection():
            return " & ".join(dict.fromkeys(map(part_text, kind.types)))
        case Array():
            return f"readonly {part_text(kind.item)}[]"
        case FixedArray():
            return f"readonly [{', '.join(map(type_text, kind.items))}]"
        case Record():
            # Not `Record`: an alias may refer to itself in an index signature, and not in a type argument.
            return f"{{ readonly [name: string]: {type_text(kind.value)} }}"
        case Fields():
            return f"{{ {' '.join(line for line, _ in _fields(kind))} }}"
        case Reference():
            return kind.name
        case HostType():
            return f'Host["{kind.name}"]'


def part_text(kind: Type) -> str:
    """A type in TypeScript, as it is written in an array or an intersection: in parentheses if it needs them."""
    text = type_text(kind)
    return f"({text})" if "|" in text or "&" in text or text.startswith("readonly") else text


def definition_lines(definition: Definition) -> list[str]:
    """The lines of an interface, or of a type alias if the type is no object with fields."""
    head = comment(definition.description)
    if not isinstance(definition.type, Fields):
        return [*head, f"export type {definition.name} = {type_text(definition.type)};"]
    lines = [*head, f"export interface {definition.name} {{"]
    for line, notes in _fields(definition.type):
        lines += [*comment(*notes, indent="  "), f"  {line}"]
    return [*lines, "}"]


def _fields(kind: Fields) -> Iterator[tuple[str, tuple[str, ...]]]:
    for field in kind.fields:
        yield f"readonly {_name(field)}: {type_text(field.type)};", field.notes
    if kind.open:
        yield "readonly [name: string]: unknown;", ()


def _name(field: Field) -> str:
    return property_name(field.name) + ("" if field.required else "?")
