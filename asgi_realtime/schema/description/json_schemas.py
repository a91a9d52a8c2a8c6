"""Reads the JSON schemas of pydantic."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from asgi_realtime.schema.description.types import (
    Array,
    Choice,
    Definition,
    Field,
    Fields,
    FixedArray,
    Intersection,
    Plain,
    Record,
    Reference,
    Type,
    Values,
)
from asgi_realtime.schema.pydantic_schemas import Schema
from asgi_realtime.schema.sentences import sentence

_Kind: TypeAlias = Literal["string", "number", "integer", "boolean", "null"]
_PLAIN: Mapping[str, _Kind] = {
    "string": "string",
    "number": "number",
    "integer": "integer",
    "boolean": "boolean",
    "null": "null",
}
_FORMATS = {
    "date-time": "ISO 8601.",
    "date": "An ISO 8601 date.",
    "time": "An ISO 8601 time.",
    "duration": "An ISO 8601 duration.",
    "uuid": "A UUID.",
}
ANY = Plain("any")


def name_of(reference: str) -> str:
    """The name of a definition: `Box[int]` is `Box_int`."""
    return re.sub(r"\W+", "_", reference).strip("_")


def type_of(schema: Any) -> Type:
    """The type of a schema."""
    if not isinstance(schema, Mapping):
        return ANY
    if "$ref" in schema:
        return Reference(name_of(schema["$ref"]))
    if "const" in schema:
        return Values((schema["const"],))
    if "enum" in schema:
        return Values(tuple(schema["enum"]))
    for key in ("anyOf", "oneOf"):
        if key in schema:
            return Choice(tuple(map(type_of, schema[key])))
    if "allOf" in schema:
        return Intersection(tuple(map(type_of, schema["allOf"])))
    kind = schema.get("type")
    if isinstance(kind, list):
        return Choice(tuple(type_of({**schema, "type": one}) for one in kind))
    if kind == "string" and schema.get("format") == "binary":
        return Plain("bytes")
    if kind == "array":
        if "prefixItems" in schema:
            return FixedArray(tuple(map(type_of, schema["prefixItems"])))
        return Array(type_of(schema.get("items")))
    if kind == "object":
        return _object(schema)
    plain = _PLAIN.get(str(kind))
    return ANY if plain is None else Plain(plain)


def _object(schema: Schema) -> Type:
    if "properties" in schema:
        return Fields(tuple(_fields(schema)), open=bool(schema.get("additionalProperties")))
    patterns = list(schema.get("patternProperties", {}).values())
    return Record(type_of(patterns[0] if patterns else schema.get("additionalProperties")))


def definition_of(reference: str, schema: Schema) -> Definition:
    """The definition that references of a schema name."""
    found = _object(schema) if "properties" in schema else type_of(schema)
    return Definition(name_of(reference), found, str(schema.get("description", "")).partition("\n\n")[0])


def _fields(schema: Schema) -> Iterator[Field]:
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        yield Field(name, type_of(field), required=name in required, notes=tuple(_notes(field)))


def _notes(schema: Schema) -> Iterator[str]:
    yield sentence(str(schema.get("description", "")))
    for one in (schema, *schema.get("anyOf", ())):
        if one.get("format") in _FORMATS:
            yield _FORMATS[one["format"]]
        for key, unit in (("maxLength", "characters"), ("maxItems", "entries")):
            if key in one and "prefixItems" not in one:
                yield f"At most {one[key]} {unit}."
