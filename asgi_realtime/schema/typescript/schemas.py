"""Converts the JSON schemas of pydantic to TypeScript."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from asgi_realtime.schema.pydantic_schemas import Schema
from asgi_realtime.schema.sentences import sentence
from asgi_realtime.schema.typescript.comments import comment
from asgi_realtime.schema.typescript.names import literal, property_name

_SIMPLE = {"string": "string", "number": "number", "integer": "number", "boolean": "boolean", "null": "null"}
_FORMATS = {
    "date-time": "ISO 8601.",
    "date": "An ISO 8601 date.",
    "time": "An ISO 8601 time.",
    "duration": "An ISO 8601 duration.",
    "uuid": "A UUID.",
}
BYTES = "ArrayBuffer | Uint8Array"
"""Either may be sent. Browsers receive the first, and Node the second."""


def name_of(reference: str) -> str:
    """The interface's name for a definition: `Box[int]` is `Box_int`."""
    return re.sub(r"\W+", "_", reference).strip("_")


def type_of(schema: Any) -> str:
    """The TypeScript type of a schema. A reference becomes the name of an interface."""
    if not isinstance(schema, Mapping):
        return "unknown"
    if "$ref" in schema:
        return name_of(schema["$ref"])
    if "const" in schema:
        return literal(schema["const"])
    if "enum" in schema:
        return " | ".join(literal(value) for value in schema["enum"])
    for key, operator in (("anyOf", " | "), ("oneOf", " | "), ("allOf", " & ")):
        if key in schema:
            return operator.join(dict.fromkeys(type_of(one) for one in schema[key]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(type_of({**schema, "type": one}) for one in kind)
    if kind == "string" and schema.get("format") == "binary":
        return BYTES
    if kind == "array":
        return _array(schema)
    if kind == "object":
        return _object(schema)
    return _SIMPLE.get(str(kind), "unknown")


def _array(schema: Schema) -> str:
    if "prefixItems" in schema:
        return f"readonly [{', '.join(type_of(one) for one in schema['prefixItems'])}]"
    item = type_of(schema.get("items"))
    return f"readonly ({item})[]" if "|" in item or "&" in item or item.startswith("readonly") else f"readonly {item}[]"


def _object(schema: Schema) -> str:
    if "properties" in schema:
        return f"{{ {' '.join(line for line, _ in _fields(schema))} }}"
    patterns = list(schema.get("patternProperties", {}).values())
    return f"Readonly<Record<string, {type_of(patterns[0] if patterns else schema.get('additionalProperties'))}>>"


def declaration(reference: str, schema: Schema) -> list[str]:
    """The lines of an interface, or of a type alias if the schema is not an object with fields."""
    name = name_of(reference)
    head = comment(str(schema.get("description", "")).partition("\n\n")[0])
    if "properties" not in schema:
        return [*head, f"export type {name} = {type_of(schema)};"]
    lines = [*head, f"export interface {name} {{"]
    for line, field in _fields(schema):
        lines += [*comment(*_notes(field), indent="  "), f"  {line}"]
    return [*lines, "}"]


def _fields(schema: Schema) -> Iterator[tuple[str, Schema]]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        yield f"readonly {property_name(name)}{'' if name in required else '?'}: {type_of(field)};", field
    if schema.get("additionalProperties"):
        yield "readonly [name: string]: unknown;", {}


def _notes(schema: Schema) -> list[str]:
    """Comments on a field: what TypeScript cannot express of its schema."""
    notes = [sentence(str(schema.get("description", "")))]
    for one in (schema, *schema.get("anyOf", ())):
        if one.get("format") in _FORMATS:
            notes.append(_FORMATS[one["format"]])
        for key, unit in (("maxLength", "characters"), ("maxItems", "entries")):
            if key in one and "prefixItems" not in one:
                notes.append(f"At most {one[key]} {unit}.")
    return notes
