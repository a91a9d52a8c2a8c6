"""JSON Schemas as HTML: the types, fields and limits of payloads."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

from asgi_realtime.schema.asyncapi.page.markup import Child, Html, anchor, code, element, joined, prose, together

Schema: TypeAlias = Mapping[str, Any]

_PREFIX = "#/components/schemas/"
DEPTH: Final = 2
"""How deep classes are shown within each other. Below it there is a link to the class."""
_LIMITS = {
    "minLength": "at least {} characters",
    "maxLength": "at most {} characters",
    "minimum": "≥ {}",
    "maximum": "≤ {}",
    "exclusiveMinimum": "> {}",
    "exclusiveMaximum": "< {}",
    "multipleOf": "a multiple of {}",
    "pattern": "matches {}",
    "minItems": "at least {} entries",
    "maxItems": "at most {} entries",
    "minProperties": "at least {} fields",
    "maxProperties": "at most {} fields",
    "contentMediaType": "contains {}",
}
_UNIONS = (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and "))


class Schemas:
    """Shows the schemas of a document. `components` are those that have a name."""

    def __init__(self, components: Mapping[str, Schema]) -> None:
        self._components = components

    def section(self, name: str) -> Html:
        """A schema that has a name, for the list of all."""
        schema = self._components[name]
        return element(
            "details",
            element("summary", element("h3", code(name))),
            self.payload(schema, depth=DEPTH),
            id=anchor("schema", name),
            class_="schema",
            data_name=name.lower(),
        )

    def payload(self, schema: Any, *, depth: int = 0) -> Html:
        """What a payload contains: its type, its description, and its fields."""
        resolved = self._resolve(schema)
        described = resolved.get("description", "")
        return together(
            element("p", self.type_of(schema), *(together(" ", one) for one in self._limits(resolved)), class_="type"),
            prose(described) if isinstance(described, str) else None,
            self._inside(schema, depth),
        )

    def _resolve(self, schema: Any) -> Schema:
        """The schema that a reference leads to, with what is beside it. Empty, if it leads nowhere."""
        beside: dict[str, Any] = {}
        seen: set[str] = set()
        while (name := _reference(schema)) is not None:
            beside = {**{key: value for key, value in schema.items() if key not in ("$ref", "allOf")}, **beside}
            if name in seen:
                return beside
            seen.add(name)
            schema = self._components.get(name, {})
        return {**schema, **beside} if isinstance(schema, Mapping) else beside

    # The type, in a line

    def type_of(self, schema: Any) -> Html:
        """The type in words. A class is a link to its schema."""
        if not isinstance(schema, Mapping):
            return together("anything" if schema is not False else "nothing")
        if (name := _reference(schema)) is not None:
            if name not in self._components:
                return code(name)
            return element("a", name.rpartition(".")[2], href=f"#{anchor('schema', name)}")
        if "const" in schema:
            return code(_json(schema["const"]))
        if "enum" in schema:
            return joined(" or ", (code(_json(value)) for value in schema["enum"]))
        for key, separator in _UNIONS:
            if isinstance(schema.get(key), Sequence):
                return joined(separator, dict.fromkeys(self.type_of(one) for one in schema[key]))
        kinds = schema.get("type", "anything")
        if isinstance(kinds, str):
            kinds = [kinds]
        return joined(" or ", (self._simple(kind, schema) for kind in kinds))

    def _simple(self, kind: str, schema: Schema) -> Html:
        if kind == "array":
            items = schema.get("items")
            if isinstance(items, list):
                return together("list of exactly ", joined(", ", (self.type_of(one) for one in items)))
            return together("list of ", self.type_of(items if items is not None else True))
        if kind == "object" and "properties" not in schema:
            values = [*schema.get("patternProperties", {}).values(), schema.get("additionalProperties")]
            if isinstance(values[0], Mapping):
                return together("object of ", self.type_of(values[0]))
        form = schema.get("format") or schema.get("contentEncoding")
        return together(kind, f" ({form})" if isinstance(form, str) else None)

    def _limits(self, schema: Schema) -> list[Html]:
        return [element("span", one, class_="limit") for one in _limits(schema)]

    # What is inside

    def _inside(self, schema: Any, depth: int) -> Html:
        """The fields of an object, or of the objects in a list or a union."""
        resolved = self._resolve(schema)
        found: list[Child] = []
        if isinstance(resolved.get("properties"), Mapping):
            required = resolved.get("required", ())
            rows = [
                self._field(name, field, name in required, depth + 1) for name, field in resolved["properties"].items()
            ]
            found.append(element("ul", *rows, class_="fields"))
        for each in self._parts(resolved):
            part = self._resolve(each)
            if part.get("properties") or list(self._parts(part)):
                found.append(self._nested(each, depth))
        return together(*found)

    def _parts(self, schema: Schema) -> list[Any]:
        """The schemas of entries, of alternatives, and of the values of an object with any names."""
        items = schema.get("items")
        found = list(items) if isinstance(items, list) else [items]
        for key, _ in _UNIONS:
            found += schema.get(key, ())
        found += [schema.get("additionalProperties"), *schema.get("patternProperties", {}).values()]
        return [one for one in found if isinstance(one, Mapping)]

    def _nested(self, schema: Schema, depth: int) -> Child:
        """A schema within another: to be opened, or only the link that its type is, if this is deep already."""
        name = _reference(schema)
        if name is None:
            return element("div", self._inside(schema, depth + 1), class_="nested")
        if depth >= DEPTH:
            return None
        return element(
            "details",
            element("summary", f"Fields of {name.rpartition('.')[2]}"),
            self.payload(schema, depth=depth + 1),
            class_="nested",
        )

    def _field(self, name: str, schema: Any, required: bool, depth: int) -> Html:
        own: Schema = schema if isinstance(schema, Mapping) else {}
        about = own.get("description")
        shown = own.get("examples")
        inside: Child = None
        if self._resolve(own).get("properties") and _reference(own) is not None:
            inside = self._nested(own, depth)
        elif own:
            inside = self._inside(own, depth)
        return element(
            "li",
            element("code", name, class_="name"),
            " ",
            element("span", self.type_of(schema), class_="type"),
            " ",
            element("span", "required" if required else "optional", class_="required" if required else "optional"),
            *(together(" ", limit) for limit in self._limits(own)),
            prose(about) if isinstance(about, str) else None,
            _examples(shown) if isinstance(shown, list) and shown else None,
            inside,
        )


def _reference(schema: Any) -> str | None:
    """The component that a schema refers to. In draft 07, what is beside a reference is beside `allOf` instead."""
    if not isinstance(schema, Mapping):
        return None
    several = schema.get("allOf")
    if isinstance(several, list) and len(several) == 1 and "properties" not in schema:
        return _reference(several[0])
    reference = schema.get("$ref")
    return reference.removeprefix(_PREFIX) if isinstance(reference, str) else None


def _limits(schema: Any) -> Iterator[Html]:
    """The limits of a schema, of its alternatives and of its entries, unless they have a name."""
    if not isinstance(schema, Mapping):
        return
    is_tuple = isinstance(schema.get("items"), list)
    for key, text in _LIMITS.items():
        if key in schema and not (is_tuple and key in ("minItems", "maxItems")):
            before, _, after = text.partition("{}")
            yield together(before, code(str(schema[key])), after)
    if schema.get("uniqueItems") is True:
        yield together("no entry twice")
    if schema.get("additionalProperties") is False:
        yield together("no other fields")
    if "default" in schema and "const" not in schema:
        yield together("default ", code(_json(schema["default"])))
    for key, _ in _UNIONS:
        for one in schema.get(key, ()):
            yield from _limits(one)
    if isinstance(schema.get("items"), Mapping):
        for limit in _limits(schema["items"]):
            yield together("each entry ", limit)


def _examples(values: Sequence[Any]) -> Html:
    return element("p", "For example ", joined(", ", (code(_json(value)) for value in values)), class_="example")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
