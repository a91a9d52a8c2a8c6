"""Lets pydantic stop at the first wrong item of a list. Only the first error is reported, and each one costs time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from asgi_realtime.payloads.core_schemas import copy_schema

if TYPE_CHECKING:
    from pydantic import TypeAdapter
    from pydantic.plugin._schema_validator import PluggableSchemaValidator
    from pydantic_core import SchemaValidator

_SEQUENCES: Final = frozenset({"list", "set", "frozenset", "tuple"})


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
    copy = copy_schema(schema, _with_fail_fast)
    kind = schema.get("type") if isinstance(schema, Mapping) else None
    if isinstance(kind, str) and kind in _SEQUENCES:
        copy["fail_fast"] = True
    return copy
