"""Pydantic models and dataclasses as JSON: what FastAPI answers with, but `bytes` in them stay `bytes`.

In JSON mode pydantic writes `bytes` as UTF-8 text and fails where they are none; a Socket.IO client gets attachments.
So a class with `bytes` in its schema is dumped by a serializer of the same schema in which `bytes` become a mark, a
text that no payload holds by chance, and the marks are exchanged afterwards. So are values that are typed `Any`, which
may hold `bytes` or what pydantic does not know, a msgspec Struct say.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

from asgi_realtime.payloads.validation import adapter
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import repaired

if TYPE_CHECKING:
    from pydantic_core import SchemaSerializer
    from pydantic_core.core_schema import SerializationInfo

Reduce: TypeAlias = Callable[[Any], Json]
"""Reduces any value to JSON types and `bytes`."""

_MARK = f"\0bytes {secrets.token_hex(8)} "
_ANY = frozenset({"any", "is-instance"})
_ITEMS = {"list": "items_schema", "set": "items_schema", "frozenset": "items_schema", "dict": "values_schema"}
_OPAQUE = frozenset({"cls", "config", "metadata", "function", "serialization"})
"""Entries of a schema that are no schemas, or that the class itself decides with."""


def dumper(cls: type, reduce: Reduce) -> Reduce:
    """Make what dumps the objects of a class that pydantic made, or can describe.

    `reduce` is for values that pydantic does not know.

    Raises:
        TypeError: if pydantic cannot describe it.
    """
    found = adapter(cls)
    rewrite = _Rewrite(reduce)
    schema = rewrite.schema(found.core_schema)
    dump = (_own_serializer(schema) if rewrite.changed else found.serializer).to_python

    def dumped(value: Any) -> Json:
        found: list[bytes] = []
        try:
            # `warnings`: a field that holds what it is not annotated with is sent as it is, and is no news.
            plain = dump(value, mode="json", by_alias=True, warnings=False, fallback=reduce, context=found)
        except ValueError as error:  # pydantic's errors, one of which is for objects that contain themselves
            raise TypeError(f"pydantic cannot encode {cls.__qualname__}: {error}") from error
        return _with_bytes(plain, found) if found else plain

    return dumped


def _own_serializer(schema: Any) -> SchemaSerializer:
    from pydantic_core import SchemaSerializer

    try:
        # Else the models inside are dumped by serializers of their own, which know no marks.
        return SchemaSerializer(schema, None, False)
    except TypeError:  # before pydantic 2.11 there is no such argument, and no such use
        return SchemaSerializer(schema)


class _Rewrite:
    """Rewrites a schema, and remembers whether there was anything to change."""

    def __init__(self, reduce: Reduce) -> None:
        self.changed = False
        self._reduce = reduce

    def schema(self, schema: Any, *, as_text: bool = False) -> Any:
        """A schema in which `bytes` are marked, unless its class says how they become text (`ser_json_bytes`)."""
        if isinstance(schema, list | tuple):
            return type(schema)(self.schema(one, as_text=as_text) for one in schema)
        if not isinstance(schema, Mapping):
            return schema
        config = schema.get("config")
        if config is not None:
            as_text = config.get("ser_json_bytes", "utf8") != "utf8"
        rewritten = {key: one if key in _OPAQUE else self.schema(one, as_text=as_text) for key, one in schema.items()}
        kind = schema.get("type")
        if "serialization" in schema or not isinstance(kind, str):
            return rewritten
        if kind == "bytes" and not as_text:
            rewritten["serialization"] = self._function(self._mark)
        elif kind in _ANY:
            rewritten["serialization"] = self._function(self._any)
        elif kind in _ITEMS and _ITEMS[kind] not in schema:
            rewritten[_ITEMS[kind]] = self.schema({"type": "any"})
        return rewritten

    def _function(self, function: Callable[[Any, SerializationInfo], Json]) -> Any:
        self.changed = True
        return {"type": "function-plain", "function": function, "info_arg": True, "when_used": "json"}

    def _mark(self, value: Any, info: SerializationInfo) -> Json:
        if not isinstance(value, bytes | bytearray | memoryview):
            return self._any(value, info)  # the field holds what it is not annotated with
        found: list[bytes] = info.context  # type: ignore[assignment]
        found.append(bytes(value))
        return f"{_MARK}{len(found) - 1}"

    def _any(self, value: Any, info: SerializationInfo) -> Json:
        return self._marked(self._reduce(value), info)

    def _marked(self, value: Json, info: SerializationInfo) -> Json:
        if isinstance(value, dict):
            return {repaired(key): self._marked(item, info) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._marked(item, info) for item in value]
        if isinstance(value, str):
            return repaired(value)  # pydantic refuses half a surrogate pair
        return self._mark(value, info) if isinstance(value, bytes | bytearray | memoryview) else value


def _with_bytes(value: Json, found: list[bytes]) -> Json:
    """The dump with the `bytes` in the places of their marks."""
    if isinstance(value, dict):
        return {key: _with_bytes(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_bytes(item, found) for item in value]
    if isinstance(value, str) and value.startswith(_MARK):
        return found[int(value.removeprefix(_MARK))]
    return value
