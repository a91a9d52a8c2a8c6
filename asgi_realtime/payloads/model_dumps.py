"""Dumps pydantic models and dataclasses as FastAPI does in responses, but keeps `bytes` as `bytes`.

In JSON mode pydantic writes `bytes` as UTF-8 text, and fails if they are not UTF-8. A Socket.IO client must get them as
attachments. So a class with `bytes` in its schema gets a serializer of its own. It writes a marker, a random text that
no payload contains by chance, in place of each `bytes`. After the dump the markers are replaced by the `bytes`. Values
typed `Any` are treated in the same way, because they may contain `bytes` or types that pydantic does not support, such
as a msgspec Struct.
"""

from __future__ import annotations

import functools
import secrets
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeAlias

from asgi_realtime.payloads.core_schemas import copy_schema
from asgi_realtime.payloads.validation import adapter
from asgi_realtime.values.json import Json
from asgi_realtime.values.text import repaired

if TYPE_CHECKING:
    from pydantic_core import SchemaSerializer

Reduce: TypeAlias = Callable[[Any], Json]
"""Reduces any value to JSON types and `bytes`."""

_MARK = f"\0bytes {secrets.token_hex(8)} "
_found: ContextVar[list[bytes]] = ContextVar("bytes found in the current dump")
"""Not pydantic's `context`: serializers of host code read that one, and it is None for them, as in FastAPI."""
_ANY = frozenset({"any", "is-instance"})
_ITEMS = {"list": "items_schema", "set": "items_schema", "frozenset": "items_schema", "dict": "values_schema"}


def dumper(cls: type, reduce: Reduce) -> Reduce:
    """Make a function that dumps the objects of a class that pydantic supports.

    `reduce` is called for values that pydantic does not support.

    Raises:
        TypeError: if pydantic cannot make a schema of the class.
    """
    found = adapter(cls)
    rewrite = _Rewrite(reduce)
    schema = rewrite.schema(found.core_schema)
    dump = (_own_serializer(schema) if rewrite.changed else found.serializer).to_python

    def dumped(value: Any) -> Json:
        found: list[bytes] = []
        outer = _found.set(found)
        try:
            # `warnings`: a field whose value does not fit its annotation is sent as it is, without a warning.
            plain = dump(value, mode="json", by_alias=True, warnings=False, fallback=reduce)
        except ValueError as error:  # pydantic's errors, one of them for objects that contain themselves
            raise TypeError(f"pydantic cannot encode {cls.__qualname__}: {error}") from error
        finally:
            _found.reset(outer)
        return _with_bytes(plain, found) if found else plain

    return dumped


def _own_serializer(schema: Any) -> SchemaSerializer:
    from pydantic_core import SchemaSerializer

    try:
        # Else inner models are dumped by their own serializers, which write no markers.
        return SchemaSerializer(schema, None, False)
    except TypeError:  # pydantic before 2.11 has no such argument, and no such behaviour
        return SchemaSerializer(schema)


class _Rewrite:
    """Rewrites a schema, and records whether anything changed."""

    def __init__(self, reduce: Reduce) -> None:
        self.changed = False
        self._reduce = reduce

    def schema(self, schema: Any, *, as_text: bool = False) -> Any:
        """A schema in which `bytes` become markers, unless the class configures a text form (`ser_json_bytes`)."""
        kind = schema.get("type") if isinstance(schema, Mapping) else None
        if not isinstance(kind, str):  # several schemas, for example fields by name
            return copy_schema(schema, functools.partial(self.schema, as_text=as_text))
        config = schema.get("config")
        if config is not None:
            as_text = config.get("ser_json_bytes", "utf8") != "utf8"
        rewritten = copy_schema(schema, functools.partial(self.schema, as_text=as_text))
        if "serialization" in schema:
            return rewritten
        if kind == "bytes" and not as_text:
            rewritten["serialization"] = self._function(self._mark)
        elif kind in _ANY:
            rewritten["serialization"] = self._function(self._any)
        elif kind in _ITEMS and _ITEMS[kind] not in schema:
            rewritten[_ITEMS[kind]] = self.schema({"type": "any"})
        return rewritten

    def _function(self, function: Reduce) -> Any:
        self.changed = True
        return {"type": "function-plain", "function": function, "when_used": "json"}

    def _mark(self, value: Any) -> Json:
        if not isinstance(value, bytes | bytearray | memoryview):
            return self._any(value)  # the value does not fit the annotation of its field
        found = _found.get()
        found.append(bytes(value))
        return f"{_MARK}{len(found) - 1}"

    def _any(self, value: Any) -> Json:
        return self._marked(self._reduce(value))

    def _marked(self, value: Json) -> Json:
        if isinstance(value, dict):
            return {repaired(key): self._marked(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._marked(item) for item in value]
        if isinstance(value, str):
            return repaired(value)  # pydantic refuses half a surrogate pair
        return self._mark(value) if isinstance(value, bytes | bytearray | memoryview) else value


def _with_bytes(value: Json, found: list[bytes]) -> Json:
    """The dump, with markers replaced by their `bytes`."""
    if isinstance(value, dict):
        return {key: _with_bytes(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_bytes(item, found) for item in value]
    if isinstance(value, str) and value.startswith(_MARK):
        return found[int(value.removeprefix(_MARK))]
    return value
