"""Comparison of schemas that msgspec does not write, as documents of other tools have them."""

from __future__ import annotations

from typing import Any

import pytest

from asgi_realtime.schema.asyncapi.diff.schemas import SchemaPair

FIRST = {
    "a/b~c": {"type": "integer"},
    "round": {"type": "object", "properties": {"kind": {"const": "round"}, "size": {"type": "integer"}}},
}
SECOND = {
    "a/b~c": {"type": "string"},
    "round": {"type": "object", "properties": {"kind": {"const": "round"}, "size": {"type": "string"}}},
    "square": {"type": "object", "properties": {"kind": {"const": "square"}, "side": {"type": "integer"}}},
}
A_INTEGER = {"type": "object", "properties": {"a": {"type": "integer"}}}
A_SMALL = {"type": "object", "properties": {"a": {"maximum": 5}}}
B_REQUIRED = {"required": ["b"], "properties": {"b": {"type": "string"}}}


def places(first: Any, second: Any) -> list[tuple[str, str]]:
    return [(found.path, found.reason) for found in SchemaPair(FIRST, SECOND).misfits(first, second)]


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"$ref": "#/a~1b~0c"}, {"$ref": "#/a~1b~0c"}, [("", "type")]),
        ({"type": ["integer", "null"]}, {"type": "integer"}, [("", "type")]),
        ({"type": "integer"}, {"type": ["integer", "null"]}, []),
        ({"type": "integer"}, {"oneOf": [{"type": "string"}, {"type": "number"}]}, []),
        # Of several classes, the one with the same tag is compared, unless another one takes all values.
        ({"$ref": "#/round"}, {"anyOf": [{"$ref": "#/square"}, {"$ref": "#/round"}]}, [("size", "type")]),
        ({"$ref": "#/round"}, {"anyOf": [{"$ref": "#/round"}, {"type": "object"}]}, []),
        # What is beside `anyOf` applies to each of its schemas.
        ({"anyOf": [{"minimum": 1}, {"minimum": 2}], "type": "integer"}, {"type": "integer", "minimum": 1}, []),
        ({"minimum": 1, "type": "integer"}, {"anyOf": [{"minimum": 2}], "type": "integer"}, [("", "limit")]),
        # `allOf` is merged where its parts do not limit the same field.
        (A_INTEGER, {"allOf": [A_INTEGER, B_REQUIRED]}, [("b", "absent")]),
        ({"allOf": [A_INTEGER, B_REQUIRED]}, {"allOf": [B_REQUIRED, A_INTEGER]}, []),
        (A_INTEGER, {"allOf": [A_INTEGER, A_SMALL]}, [("", "limit")]),
        ({"allOf": [A_INTEGER, A_SMALL]}, {"allOf": [A_INTEGER, A_SMALL]}, []),
        # Boolean schemas.
        (False, {"type": "integer"}, []),
        ({"type": "integer"}, False, [("", "type")]),
        ({"type": "integer"}, True, []),
        (True, {"type": "integer"}, [("", "type")]),
        # Dicts and arrays.
        ({"additionalProperties": {"type": "string"}}, A_INTEGER, [("", "type")]),
        (
            {"type": "object", "additionalProperties": {"type": "string"}},
            {**A_INTEGER, "additionalProperties": {"type": "string"}},
            [("a", "type")],
        ),
        (
            {"type": "object", "propertyNames": {"type": "string", "maxLength": 9}},
            {"type": "object", "propertyNames": {"type": "string", "maxLength": 5}},
            [("*", "limit")],
        ),
        (
            {"type": "array", "items": [{"type": "integer"}], "additionalItems": {"type": "string"}},
            {"type": "array", "items": [{"type": "integer"}], "additionalItems": {"type": "null"}},
            [("[]", "type")],
        ),
        (
            {"type": "array", "items": [{"type": "integer"}], "maxItems": 1},
            {"type": "array", "items": {"type": "integer"}},
            [],
        ),
        ({"type": "array"}, {"type": "array", "items": {"type": "integer"}}, [("[]", "type")]),
        ({"type": "array"}, {"type": "array", "uniqueItems": True}, [("", "limit")]),
        ({"type": "array"}, {"type": "array", "uniqueItems": False}, []),
        # Values.
        ({"const": None}, {"type": "null"}, []),
        ({"type": "null"}, {"const": None}, []),
        ({"const": True}, {"const": 1}, [("", "value")]),
        ({"const": 1}, {"type": "number"}, []),
        ({"const": 1.5}, {"type": "integer"}, [("", "value")]),
        ({"enum": [1, "a"]}, {"enum": ["a", 1, 2]}, []),
        ({"const": "a"}, {"type": "string", "format": "uuid"}, [("", "value")]),
        ({"const": {"a": 1}}, {"type": "object", "minProperties": 2}, [("", "value")]),
        # A keyword whose meaning is not known must be the same.
        ({"type": "integer", "not": {"const": 1}}, {"type": "integer", "not": {"const": 1}}, []),
        ({"type": "integer"}, {"type": "integer", "not": {"const": 1}}, [("", "limit")]),
        ({"type": "integer", "x-a": 1, "title": "a"}, {"type": "integer", "x-a": 2, "title": "b"}, []),
    ],
)
def test_where_a_value_of_the_first_may_not_fit_the_second(
    first: Any, second: Any, expected: list[tuple[str, str]]
) -> None:
    assert places(first, second) == expected
