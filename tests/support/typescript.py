"""The TypeScript of a Python type."""

from __future__ import annotations

from typing import Any

from asgi_realtime.schema.description.payloads import PayloadTypes
from asgi_realtime.schema.gateway_kinds import Direction
from asgi_realtime.schema.typescript.types import definition_lines, type_text


def typescript_of(annotation: Any, direction: Direction) -> str:
    """The type of an annotation."""
    return type_text(PayloadTypes().type_of(annotation, direction))


def interface(cls: Any, direction: Direction) -> str:
    """The interface of a class, with those of the classes in it."""
    types = PayloadTypes()
    assert type_text(types.type_of(cls, direction)) == cls.__name__
    return "\n\n".join("\n".join(definition_lines(definition)) for definition in types.definitions())
