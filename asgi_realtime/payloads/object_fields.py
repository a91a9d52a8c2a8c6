"""The fields of a payload's type as a client writes them, from its JSON schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

from asgi_realtime.payloads.annotation_metadata import MSGSPEC
from asgi_realtime.payloads.validation import adapter, decide

Schema: TypeAlias = Mapping[str, Any]

_TEXTS = ("string", "integer")


class PayloadSchema:
    """What a client may send for an annotation that is checked already (see `validator`)."""

    def __init__(self, annotation: Any) -> None:
        if annotation is Any or annotation is object:
            self._root: Schema = {}
        elif decide(annotation) == MSGSPEC:
            self._root = msgspec.json.schema(annotation)
        else:
            self._root = adapter(annotation).json_schema(mode="validation")
        self._definitions: Mapping[str, Schema] = self._root.get("$defs", {})

    @property
    def fields(self) -> Mapping[str, Schema] | None:
        """The fields of the object by name. Empty: it is no object. None: the annotation does not say its fields."""
        found: dict[str, Schema] = {}
        for branch in self._branches(self._root):
            if "properties" in branch:
                found |= branch["properties"]
            elif not branch or branch.get("type") == "object":
                return None
        return found

    @property
    def is_text(self) -> bool:
        """Whether it may be a text or a whole number."""
        return self.may_be_text(self._root)

    def may_be_text(self, schema: Schema) -> bool:
        """Whether a part of this schema may be a text or a whole number."""
        return any(branch.get("type", "string") in _TEXTS for branch in self._branches(schema))

    def _branches(self, schema: Schema) -> list[Schema]:
        """The alternatives of a schema, with references replaced by what they refer to."""
        if "$ref" in schema:
            return self._branches(self._definitions[schema["$ref"].rpartition("/")[2]])
        for name in ("anyOf", "oneOf", "allOf"):
            if name in schema:
                return [branch for one in schema[name] for branch in self._branches(one)]
        return [schema]
