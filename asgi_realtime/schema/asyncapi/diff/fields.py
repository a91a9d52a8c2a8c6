"""The fields of a schema, at any depth."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from asgi_realtime.schema.asyncapi.diff.alternatives import alternatives, shown


def field_paths(document: Mapping[str, Any], schema: Any) -> set[str]:
    """The paths of all fields that a schema names. A class that refers to itself is read once."""
    return set(_paths(document, schema, "", ()))


def outermost(paths: set[str]) -> set[str]:
    """The paths without those of fields inside others of them."""
    return {path for path in paths if not any(path.startswith((f"{other}.", f"{other}[")) for other in paths)}


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
        if isinstance(one.get("items"), list):
            for number, item in enumerate(one["items"]):
                yield from _paths(document, item, f"{path}[{number}]", reading)
        elif "items" in one:
            yield from _paths(document, one["items"], f"{path}[]", reading)
        if isinstance(one.get("additionalProperties"), dict):
            yield from _paths(document, one["additionalProperties"], f"{path}.*" if path else "*", reading)
