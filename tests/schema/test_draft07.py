"""Schemas of JSON Schema 2020-12 as schemas of draft 07."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_realtime.schema.asyncapi.draft07 import draft07

REFERENCE = {"$ref": "#/components/schemas/a"}
PAIR = {"prefixItems": [{"type": "integer"}, REFERENCE], "items": False}
OLD_PAIR = {"items": [{"type": "integer"}, REFERENCE], "additionalItems": False}


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (True, True),
        (PAIR, OLD_PAIR),
        ({"prefixItems": [REFERENCE], "items": {"a": 1}}, {"items": [REFERENCE], "additionalItems": {"a": 1}}),
        ({"prefixItems": [REFERENCE]}, {"items": [REFERENCE]}),
        ({"items": PAIR}, {"items": OLD_PAIR}),
        (REFERENCE, REFERENCE),
        ({**REFERENCE, "description": "x"}, {"allOf": [REFERENCE], "description": "x"}),
        ({**REFERENCE, "allOf": [{"type": "object"}]}, {"allOf": [REFERENCE, {"type": "object"}]}),
        ({"properties": {"prefixItems": PAIR, "$ref": {}}}, {"properties": {"prefixItems": OLD_PAIR, "$ref": {}}}),
        ({"anyOf": [PAIR, REFERENCE], "discriminator": {"propertyName": "a"}}, {"anyOf": [OLD_PAIR, REFERENCE]}),
        ({"additionalProperties": PAIR}, {"additionalProperties": OLD_PAIR}),
        ({"default": PAIR, "examples": [PAIR]}, {"default": PAIR, "examples": [PAIR]}),
        ({"type": "string", "contentEncoding": "base64"}, {"type": "string", "format": "binary"}),
    ],
)
def test_each_keyword_is_converted_at_any_depth(schema: Any, expected: Any) -> None:
    before = repr(schema)
    assert draft07(schema) == expected
    assert repr(schema) == before
