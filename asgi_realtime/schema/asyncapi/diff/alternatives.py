"""Schemas as alternatives: each is an object with a `type` and what limits its values, without references."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from asgi_realtime.errors import RealtimeError

Schema: TypeAlias = dict[str, Any]

ANY: Schema = {}
_ANNOTATIONS = frozenset(
    {
        *("title", "description", "default", "examples", "deprecated", "readOnly", "writeOnly", "$comment", "$id"),
        *("externalDocs", "discriminator", "$schema"),
    }
)
"""What says nothing about the values that a schema allows."""
_TYPES = {str: "string", bool: "boolean", int: "integer", float: "number", list: "array", dict: "object"}


class UnreadableDocument(RealtimeError):
    """A document that cannot be compared. The message says why."""


def resolved(document: Mapping[str, Any], value: Any) -> Any:
    """Follow the references of a part of the document.

    Raises:
        UnreadableDocument: for a reference that leads to no part of the document, or to itself.
    """
    seen = set()
    while isinstance(value, dict) and isinstance(value.get("$ref"), str):
        reference = value["$ref"]
        if reference in seen or not reference.startswith("#/"):
            raise UnreadableDocument(f"the reference {reference} leads to no part of the document")
        seen.add(reference)
        value = document
        for name in reference.removeprefix("#/").split("/"):
            name = name.replace("~1", "/").replace("~0", "~")
            try:
                value = value[int(name)] if isinstance(value, list) else value[name]
            except (KeyError, IndexError, TypeError, ValueError):
                raise UnreadableDocument(f"the reference {reference} leads to no part of the document") from None
    return value


def alternatives(document: Mapping[str, Any], schema: Any) -> list[Schema]:
    """The alternatives of a schema. Each value of an enumeration is one, with `const`. None: it allows no value."""
    return list(_alternatives(document, schema))


def _alternatives(document: Mapping[str, Any], schema: Any) -> Iterator[Schema]:
    if schema is False:
        return
    if not isinstance(schema, dict):
        yield ANY
        return
    merged = _merged(document, schema)
    for key in ("anyOf", "oneOf"):
        if key in merged:
            rest = {name: value for name, value in merged.items() if name != key}
            for one in merged[key]:
                yield from _alternatives(document, {"allOf": [one, rest]} if rest else one)
            return
    if "const" in merged or "enum" in merged:
        # What is beside them can only exclude some of the values.
        for value in [merged["const"]] if "const" in merged else merged["enum"]:
            yield {"const": value, "type": type_of(value)}
        return
    types = merged.get("type")
    for one in types if isinstance(types, list) else [types]:
        yield merged if one is None else {**merged, "type": one}


def _merged(document: Mapping[str, Any], schema: Any) -> Schema:
    """A schema with those of its `allOf`. Limits that do not go together stay in `allOf`."""
    schema = resolved(document, schema)
    if not isinstance(schema, dict):
        return ANY if schema is not False else {"not": {}}
    found = {key: value for key, value in schema.items() if _limits(key) and key != "allOf"}
    left = []
    for one in schema.get("allOf", ()):
        part = _merged(document, one)
        both = found.keys() & part.keys() - {"properties", "required"}
        fields = found.get("properties", {}).keys() & part.get("properties", {}).keys()
        if any(found[key] != part[key] for key in both) or fields:
            left.append(part)
            continue
        if "properties" in found and "properties" in part:
            part = {**part, "properties": {**found["properties"], **part["properties"]}}
        if "required" in found and "required" in part:
            part = {**part, "required": [*dict.fromkeys([*found["required"], *part["required"]])]}
        found |= part
    return found | ({"allOf": left} if left else {})


def _limits(key: str) -> bool:
    return key not in _ANNOTATIONS and not key.startswith("x-")


def type_of(value: Any) -> str:
    """The type of a JSON value, in the words of JSON Schema."""
    return "null" if value is None else _TYPES[type(value)]


def shown(value: Any) -> str:
    """A value as JSON. Equal texts are equal values."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True)
