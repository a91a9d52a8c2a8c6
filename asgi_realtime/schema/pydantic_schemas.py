"""The JSON schemas of types whose JSON form is defined by pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec.inspect import CustomType, type_info

from asgi_realtime.payloads.annotation_metadata import MSGSPEC, PYDANTIC
from asgi_realtime.payloads.annotations import requirements
from asgi_realtime.payloads.validation import adapter
from asgi_realtime.schema.gateway_kinds import Direction

Schema: TypeAlias = Mapping[str, Any]


def is_pydantic(annotation: Any) -> bool:
    """Whether pydantic, not msgspec, defines the JSON form of a type.

    Raises:
        TypeError: for a part that neither library understands.
    """
    libraries = {part.package for part in requirements(annotation)}
    if libraries:
        return PYDANTIC in libraries and MSGSPEC not in libraries
    try:
        # Of a type that is not its own, such as `deque[int]`, msgspec keeps the class only.
        return isinstance(type_info(annotation), CustomType)
    except TypeError:
        return True


def pydantic_schemas(
    annotation: Any, direction: Direction, *, references: str = "{model}"
) -> tuple[Schema, dict[str, Schema]]:
    """The JSON schema of a type, and by name the schemas that it refers to.

    Args:
        annotation: the type.
        direction: `up`: what is accepted; `down`: what is sent.
        references: what `$ref` is, with `{model}` for the name.

    Raises:
        TypeError: if pydantic cannot make a schema.
    """
    found = adapter(annotation, f"{annotation!r} has no JSON schema: it")
    from pydantic import PydanticInvalidForJsonSchema
    from pydantic.json_schema import GenerateJsonSchema

    class Generator(GenerateJsonSchema):
        def field_is_required(self, field: Any, total: bool) -> bool:
            # Clients may leave out a field with a default. The server always sends it.
            sent = self.mode == "serialization" and field["type"] != "typed-dict-field"
            return sent or super().field_is_required(field, total)

    mode: Literal["validation", "serialization"] = "validation" if direction == "up" else "serialization"
    try:
        roots, all_schemas = type(found).json_schemas(
            [("root", mode, found)], by_alias=True, ref_template=references, schema_generator=Generator
        )
    except PydanticInvalidForJsonSchema as error:
        raise TypeError(f"{annotation!r} has no JSON schema: {str(error).partition(chr(10))[0]}") from None
    definitions: dict[str, Schema] = all_schemas.get("$defs", {})
    return roots["root", mode], definitions
