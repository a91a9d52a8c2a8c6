"""Converts the JSON schemas of pydantic to TypeScript."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, TypeAlias

from msgspec.inspect import type_info

from asgi_realtime.payloads.annotation_metadata import MSGSPEC, PYDANTIC
from asgi_realtime.payloads.annotations import requirements
from asgi_realtime.payloads.validation import adapter
from asgi_realtime.schema.typescript.comments import comment, sentence
from asgi_realtime.schema.typescript.names import literal, property_name

Schema: TypeAlias = Mapping[str, Any]
Direction: TypeAlias = Literal["up", "down"]

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


def is_pydantic(annotation: Any) -> bool:
    """Whether pydantic, not msgspec, defines the JSON form of a type.

    Raises:
        TypeError: for a part that neither library understands.
    """
    libraries = {part.package for part in requirements(annotation)}
    if libraries:
        return PYDANTIC in libraries and MSGSPEC not in libraries
    try:
        type_info(annotation)
    except TypeError:
        return True
    return False


def schemas_of(annotation: Any, direction: Direction) -> tuple[Schema, dict[str, Schema]]:
    """The JSON schema of a type, and by name the schemas that it refers to.

    Raises:
        TypeError: if pydantic cannot make a schema.
    """
    found = adapter(annotation, f"{annotation!r} has no form in TypeScript: it")
    from pydantic import PydanticInvalidForJsonSchema
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def field_is_required(self, field: Any, total: bool) -> bool:
            # Clients may leave out a field with a default. The server always sends it.
            sent = self.mode == "serialization" and field["type"] != "typed-dict-field"
            return sent or super().field_is_required(field, total)

    mode: Literal["validation", "serialization"] = "validation" if direction == "up" else "serialization"
    try:
        roots, all_schemas = type(found).json_schemas(
            [("root", mode, found)], by_alias=True, ref_template="{model}", schema_generator=Generator
        )
    except PydanticInvalidForJsonSchema as error:
        raise TypeError(f"{annotation!r} has no form in TypeScript: {str(error).partition(chr(10))[0]}") from None
    definitions: dict[str, Schema] = all_schemas.get("$defs", {})
    return roots["root", mode], definitions


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
