"""The types of values in requests, with their limits."""

from __future__ import annotations

import json
import unicodedata
from typing import Annotated, Any

import msgspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    JsonValue,
    PlainSerializer,
    StringConstraints,
    WithJsonSchema,
)

from examples.fastapi_app import permissions
from examples.fastapi_app.permissions import Permission

JSON_BYTES = 16_384


def _no_nul(text: str) -> str:
    if "\0" in text:  # PostgreSQL cannot store one
        raise ValueError("must not contain NUL")
    return text


def _one_line(text: str) -> str:
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise ValueError("must be one line without control characters")
    return text


def _small(value: Any) -> Any:
    try:
        size = len(msgspec.json.encode(value))  # as clients receive it: without half surrogate pairs
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise ValueError("must be JSON") from None
    if size > JSON_BYTES:
        raise ValueError(f"must be JSON of at most {JSON_BYTES} bytes")
    return value


def _not_me(user_id: str) -> str:
    if user_id == "me" or "/" in user_id:  # /users/me has a meaning of its own
        raise ValueError('must not be "me" nor contain "/"')
    return user_id


def _permissions(value: Any) -> Permission:
    if isinstance(value, Permission):
        return value
    if not isinstance(value, list) or not all(isinstance(name, str) for name in value):
        raise ValueError("must be a list of names")
    return permissions.parse(value)


Line = AfterValidator(_one_line)

UserId = Annotated[str, StringConstraints(min_length=1, max_length=128), Line, AfterValidator(_not_me)]
Id = Annotated[str, StringConstraints(max_length=128), Line]
Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100), Line]
Topic = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), AfterValidator(_no_nul)]
Content = Annotated[str, StringConstraints(max_length=4000), AfterValidator(_no_nul)]
Emoji = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^\S+$"), Line]
ImageURL = Annotated[str, StringConstraints(max_length=4000, pattern=r"^(https?://|/|data:image/)"), Line]
"""The URL of a picture. No other scheme is allowed, since a page may put it into a link."""
Type = Annotated[str, StringConstraints(min_length=1, max_length=64), Line]
Place = Annotated[int, Field(ge=0, le=10_000)]
JsonList = Annotated[list[JsonValue], Field(max_length=10), BeforeValidator(_small)]
JsonObject = Annotated[dict[str, JsonValue], BeforeValidator(_small)]
PermissionNames = Annotated[
    Permission,
    BeforeValidator(_permissions),
    PlainSerializer(permissions.names, return_type=list[str]),
    WithJsonSchema({"type": "array", "items": {"type": "string", "enum": list(Permission.__members__)}}),
]
