"""The JSON schemas of payloads, under `components/schemas` of a document."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias, TypeVar

import msgspec
from msgspec import inspect as kinds

from asgi_realtime.payloads.inner_types import inner_types
from asgi_realtime.payloads.validation import decide
from asgi_realtime.schema.asyncapi.draft07 import draft07
from asgi_realtime.schema.gateway_kinds import Direction
from asgi_realtime.schema.payload_classes import PayloadClass, may_be_missing
from asgi_realtime.schema.pydantic_schemas import is_pydantic, pydantic_schemas

JSONSchema: TypeAlias = dict[str, Any]

_PREFIX = "#/components/schemas/"
_MARK = "|"
"""Between the name of a component and its direction, in a reference that is not final."""
_SUFFIXES: dict[Direction, str] = {"up": "-Input", "down": "-Output"}


class ComponentSchemas:
    """The schemas of the classes in payloads. References to them become final in `finished`.

    A component is called `board.Stroke`: the name of its gateway, and that of the class. If clients may send another
    form of it than the server sends, there are two, `board.Stroke-Input` and `board.Stroke-Output`.
    """

    def __init__(self) -> None:
        self._found: dict[str, dict[Direction, JSONSchema]] = {}

    def schema_of(self, annotation: Any, direction: Direction, owner: str) -> JSONSchema:
        """The schema of a payload type. A class becomes a component of the gateway `owner`.

        Raises:
            TypeError: for a type that has no JSON schema.
            ValueError: for two classes of one name.
        """
        template = f"{_PREFIX}{owner}.{{}}{_MARK}{direction}"
        if isinstance(annotation, TypeVar):
            name = annotation.__name__
            self._add(f"{owner}.{name}", direction, {"title": name, "description": "An object of the application."})
            return {"$ref": template.format(name)}
        if direction == "up":
            decide(annotation)  # as for a handler's parameter
        read = _by_pydantic if is_pydantic(annotation) else _by_msgspec
        schema, definitions = read(annotation, direction, template)
        for name, definition in definitions.items():
            self._add(f"{owner}.{name}", direction, draft07(definition))
        converted: JSONSchema = draft07(schema)
        return converted

    def fields_of(self, schema: JSONSchema) -> JSONSchema:
        """The schema that a reference is to, or the schema itself."""
        while "$ref" in schema:
            name, direction = _target(schema["$ref"])
            schema = self._found[name][direction]
        return schema

    def components(self) -> dict[str, JSONSchema]:
        """All components, by name. Their references are not final yet."""
        two_forms = self._two_forms()
        return {
            _final_name(name, direction, two_forms): schema
            for name, forms in sorted(self._found.items())
            for direction, schema in forms.items()
        }

    def finished(self, value: Any) -> Any:
        """A copy of a part of the document with final references."""
        return _with_references(value, self._two_forms())

    def _add(self, name: str, direction: Direction, schema: JSONSchema) -> None:
        if self._found.setdefault(name, {}).setdefault(direction, schema) != schema:
            raise ValueError(f"two payload types are named {name.partition('.')[2]}: rename one")

    def _two_forms(self) -> set[str]:
        """The components whose directions differ, themselves or in what they refer to."""
        both = {name: forms for name, forms in self._found.items() if len(forms) == 2}
        differing: set[str] = set()
        while True:
            more = {
                name
                for name, forms in both.items()
                if _with_references(forms["up"], differing) != _with_references(forms["down"], differing)
            }
            if more == differing:
                return differing
            differing = more


def _target(reference: str) -> tuple[str, Direction]:
    name, _, direction = reference.removeprefix(_PREFIX).partition(_MARK)
    return name, "up" if direction == "up" else "down"


def _final_name(name: str, direction: Direction, two_forms: set[str]) -> str:
    return f"{name}{_SUFFIXES[direction]}" if name in two_forms else name


def _with_references(value: Any, two_forms: set[str]) -> Any:
    if isinstance(value, list | tuple):  # a default may be a tuple
        return [_with_references(one, two_forms) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: _with_references(one, two_forms) for key, one in value.items()}
    reference = found.get("$ref")
    if isinstance(reference, str) and _MARK in reference:
        found["$ref"] = _PREFIX + _final_name(*_target(reference), two_forms)
    return found


def _by_pydantic(annotation: Any, direction: Direction, template: str) -> tuple[Any, dict[str, Any]]:
    return pydantic_schemas(annotation, direction, references=template.format("{model}"))


def _by_msgspec(annotation: Any, direction: Direction, template: str) -> tuple[Any, dict[str, Any]]:
    definitions: dict[str, Any] = {}

    def of_model(cls: type) -> dict[str, Any]:
        schema, models = _by_pydantic(cls, direction, template)
        definitions.update(models)
        return dict(schema) or {"$comment": "any value"}  # msgspec takes an empty schema for none

    classes = list({kind.cls: kind for kind in _classes_in(kinds.type_info(annotation), set())}.values())
    (schema, *references), found = msgspec.json.schema_components(
        [annotation, *(kind.cls for kind in classes)], schema_hook=of_model, ref_template=template.format("{name}")
    )
    start, end = template.split("{}")
    for kind, reference in zip(classes, references, strict=True):
        definition = found[reference["$ref"].removeprefix(start).removesuffix(end)]
        if definition["type"] == "object":
            sent = [field.encode_name for field in kind.fields if not may_be_missing(kind, field, direction)]
            required = dict.fromkeys([*definition.get("required", ()), *sent])
            definition["required"] = [name for name in definition["properties"] if name in required]
    return schema, definitions | found


def _classes_in(kind: kinds.Type, seen: set[int]) -> Iterator[PayloadClass]:
    """The classes in a type whose fields msgspec defines, at any depth."""
    if id(kind) in seen:
        return
    seen.add(id(kind))
    if isinstance(kind, PayloadClass):
        yield kind
    for one in inner_types(kind):
        yield from _classes_in(one, seen)
