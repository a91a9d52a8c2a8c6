"""The fields of a schema, at any depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from asgi_realtime.schema.asyncapi.diff.alternatives import alternatives, shown


def field_paths(document: Mapping[str, Any], schema: Any) -> set[str]:
    """The paths of all fields that a schema names. A class that refers to itself is read once."""
    return set(_paths(document, schema, "", ()))


def _paths(document: Mapping[str, Any], schema: Any, path: str, reading: tuple[str, ...]) -> Iterator[str]:
    text = shown(schema)
    if text in reading:
        return
    reading = (*reading, text)
    for one in alternatives(document, schema):
        for name, field in one.get("properties", {}).items():
            inner = f"{path}.{name}" if path else name
            yield inner
            yield from _paths(document, field, inner, reading)
        items = one.get("items", ())
        for item in items if isinstance(items, list) else [items]:
            yield from _paths(document, item, f"{path}[]", reading)
        if isinstance(one.get("additionalProperties"), dict):
            yield from _paths(document, one["additionalProperties"], f"{path}.*" if path else "*", reading)
