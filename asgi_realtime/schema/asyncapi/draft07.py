"""Converts JSON Schema 2020-12, as msgspec and pydantic write it, to draft 07, which AsyncAPI 3 is based on."""

from __future__ import annotations

from typing import Any

_OF_NAMES = ("properties", "patternProperties")
_LISTS = ("anyOf", "oneOf", "allOf", "items")
_SINGLE = ("items", "additionalItems", "additionalProperties", "propertyNames", "not", "contains")


def draft07(schema: Any) -> Any:
    """Convert a schema and those in it. Examples, defaults and other values stay as they are."""
    if not isinstance(schema, dict):
        return schema
    found = dict(schema)
    if "prefixItems" in found:
        rest = found.pop("items", True)
        found["items"] = found.pop("prefixItems")
        if rest is not True:
            found["additionalItems"] = rest
    found.pop("discriminator", None)  # OpenAPI's. The tag is in each schema too
    if found.get("contentEncoding") == "base64" and "format" not in found:
        del found["contentEncoding"]  # it is an attachment, not text
        found["format"] = "binary"
    for key in _OF_NAMES:
        if key in found:
            found[key] = {name: draft07(one) for name, one in found[key].items()}
    for key in _LISTS:
        if isinstance(found.get(key), list):
            found[key] = [draft07(one) for one in found[key]]
    for key in _SINGLE:
        if isinstance(found.get(key), dict):
            found[key] = draft07(found[key])
    if "$ref" in found and len(found) > 1:  # draft 07 ignores what is beside a reference
        found = {"allOf": [{"$ref": found.pop("$ref")}, *found.pop("allOf", ())], **found}
    return found
