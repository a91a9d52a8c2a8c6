"""Validation by pydantic that ends at the first wrong item of a list: nothing is said of the others, and each costs."""

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
"""Keys of a core schema below which there are others. Whatever else is in it, defaults say, stays as it is."""


def fail_fast(adapter: TypeAdapter[Any]) -> SchemaValidator | PluggableSchemaValidator:
    """The validator of an adapter, made to stop at the first error of each list, set and tuple.

    Where this version of pydantic cannot do so, the adapter's own.
    """
    from pydantic_core import SchemaError, SchemaValidator

    original = adapter.validator
    if not isinstance(original, SchemaValidator):  # but what a plug-in of pydantic has made
        return original
    try:
        # Without what the models inside have compiled for themselves.
        return SchemaValidator(_with_fail_fast(adapter.core_schema), _use_prebuilt=False)
    except (SchemaError, TypeError):
        return original


def _with_fail_fast(schema: Any) -> Any:
    """A copy of a core schema, or of a collection of them."""
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
