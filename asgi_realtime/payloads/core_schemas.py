"""Reads pydantic's core schemas: which parts of a schema are schemas, and which are data such as defaults."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

_INNER: Final = frozenset(
    {
        *("schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "extras_keys_schema"),
        *("lax_schema", "strict_schema", "json_schema", "python_schema", "arguments_schema", "return_schema"),
        *("var_args_schema", "var_kwargs_schema", "fields", "computed_fields", "choices", "steps", "definitions"),
    }
)
"""Keys of a core schema that contain other schemas. What is under another key is data, whatever it looks like."""


def inner_schemas(schema: Any) -> list[Any]:
    """The schemas directly inside a core schema, or in a collection of core schemas."""
    if isinstance(schema, list | tuple):
        return list(schema)
    if not isinstance(schema, Mapping):
        return []
    return [value for key, value in schema.items() if _is_inner(schema, key)]


def copy_schema(schema: Any, copy_inner: Callable[[Any], Any]) -> Any:
    """Copy a core schema, or a collection of core schemas. `copy_inner` copies each schema directly inside it."""
    if isinstance(schema, list | tuple):
        return type(schema)([copy_inner(item) for item in schema])
    if not isinstance(schema, Mapping):
        return schema
    return {key: copy_inner(value) if _is_inner(schema, key) else value for key, value in schema.items()}


def _is_inner(schema: Mapping[Any, Any], key: Any) -> bool:
    # A mapping without a type has fields or choices by name. A field may have any name, also that of such a key.
    return key in _INNER or not isinstance(schema.get("type"), str)
