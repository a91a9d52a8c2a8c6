"""Lets pydantic stop at the first wrong item of a list. Only the first error is reported, and each one costs time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic.plugin._schema_validator import PluggableSchemaValidator
    from pydantic_core import SchemaValidator

_SEQUENCES: Final = frozenset({"list", "set", "frozenset", "tuple"})
_INNER: Final = frozenset(
    {
        *("schema", "items_schema", "keys_schema", "values_schema", "extras_schema", "lax_schema", "strict_schema"),
        *("json_schema", "python_schema", "fields", "choices", "steps", "definitions"),
    }
)
"""Keys of a core schema that contain other schemas. All other keys, such as defaults, are copied unchanged."""


def fail_fast(adapter: TypeAdapter[Any]) -> SchemaValidator | PluggableSchemaValidator:
    """A validator like the adapter's, but it stops at the first error of each list, set and tuple.

    If this version of pydantic cannot do that, the adapter's own validator is returned.
    """
    from pydantic_core import SchemaError, SchemaValidator

    original = adapter.validator
    if not isinstance(original, SchemaValidator):  # a pydantic plug-in made it
        return original
    try:
        # `_use_prebuilt=False`: else the validators that inner models have compiled are used.
        return SchemaValidator(_with_fail_fast(adapter.core_schema), _use_prebuilt=False)
    except (SchemaError, TypeError):
        return original


def _with_fail_fast(schema: Any) -> Any:
    """A copy of a core schema, or of a collection of core schemas, with `fail_fast` set."""
    if isinstance(schema, list | tuple):
        return type(schema)([_with_fail_fast(item) for item in schema])
    if not isinstance(schema, Mapping):
        return schema
    kind = schema.get("type")
    if not isinstance(kind, str):  # fields or choices by name
        return {name: _with_fail_fast(item) for name, item in schema.items()}
    copy = {key: _with_fail_fast(item) if key in _INNER else item for key, item in schema.items()}
    if kind in _SEQUENCES:
        copy["fail_fast"] = True
    return copy
