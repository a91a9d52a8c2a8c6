"""The TypeScript of one class."""

from __future__ import annotations

from typing import Any

from asgi_realtime.schema.gateway_kinds import Direction
from asgi_realtime.schema.typescript.interfaces import Interfaces


def interface(cls: Any, direction: Direction) -> str:
    """The interface of a class, with those of the classes in it."""
    interfaces = Interfaces()
    assert interfaces.type_of(cls, direction) == cls.__name__
    return "\n".join(interfaces.lines()).strip()
