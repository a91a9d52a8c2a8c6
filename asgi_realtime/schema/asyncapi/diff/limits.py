"""Compares the limits of two alternatives: which of the second's limits a value of the first may break."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from asgi_realtime.schema.asyncapi.diff.alternatives import Schema, shown

_AT_LEAST = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_AT_MOST = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_PARTS = frozenset(
    ("type", "const", "properties", "required", "additionalProperties", "items", "additionalItems", "propertyNames")
)
"""What `SchemaPair` compares."""


def broken_limits(first: Schema, second: Schema) -> Iterator[str]:
    """The keywords of `second` that a value of `first` may break. One whose meaning is not known must be equal."""
    for key in second:
        if key not in _PARTS and not _implied(key, first, second):
            yield key


def _implied(key: str, first: Schema, second: Schema) -> bool:
    limit, own = second[key], first.get(key)
    if own is not None and shown(own) == shown(limit):
        return True
    if key in _AT_LEAST:
        return _bound(first, key, max, limit)
    if key in _AT_MOST:
        return _bound(first, key, min, limit)
    if key == "multipleOf" and isinstance(own, int) and isinstance(limit, int):
        return own % limit == 0
    return (key, limit) == ("uniqueItems", False)


def _bound(first: Schema, key: str, strictest: Callable[..., Any], limit: float) -> bool:
    """Whether the bounds of `first` keep it within the bound `key` of `second`."""
    other = {
        "minimum": "exclusiveMinimum",
        "exclusiveMinimum": "minimum",
        "maximum": "exclusiveMaximum",
        "exclusiveMaximum": "maximum",
    }.get(key)
    if key in ("minLength", "minItems", "minProperties") and limit <= 0:
        return True
    if key in first and strictest(first[key], limit) == first[key]:
        return True
    if other is None or other not in first:
        return False
    # `> 5` implies `>= 5`, and `>= 6` implies `> 5`.
    inside = strictest(first[other], limit) == first[other]
    return inside and (other.startswith("exclusive") or first[other] != limit)


def allows(schema: Schema, value: Any, kind: str) -> bool:
    """Whether an alternative surely allows a constant of this type."""
    if "const" in schema:
        return shown(schema["const"]) == shown(value)
    if schema.get("type", kind) != kind and (kind, schema["type"]) != ("integer", "number"):
        return False
    rest = {key: limit for key, limit in schema.items() if key != "type"}
    if kind in ("integer", "number"):
        return all(_number_fits(key, limit, value) for key, limit in rest.items())
    if kind == "string":
        return all(_text_fits(key, limit, value) for key, limit in rest.items())
    return not rest


def _number_fits(key: str, limit: Any, value: float) -> bool:
    checks: Mapping[str, bool] = {
        "minimum": value >= limit,
        "maximum": value <= limit,
        "exclusiveMinimum": value > limit,
        "exclusiveMaximum": value < limit,
    }
    return checks.get(key, False)


def _text_fits(key: str, limit: Any, value: str) -> bool:
    match key:
        case "minLength":
            return len(value) >= int(limit)
        case "maxLength":
            return len(value) <= int(limit)
        case "pattern":
            return re.search(limit, value) is not None
    return False
