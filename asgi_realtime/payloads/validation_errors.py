"""Error messages for clients about invalid payloads: what is wrong and where, but never the value."""

from __future__ import annotations

import functools
import re
import typing
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from asgi_realtime.values.json import Json

if TYPE_CHECKING:
    from pydantic import ValidationError

_LONGEST = 300
"""Most characters of a message. It may contain names that the client chose, which may be long."""
_LONGEST_NAME = 64
_MOST_NAMES = 20
_MOST_LEAVES = 1_000
_MOST_ERRORS = 1_000
_OWN_TEXT = ("value_error", "assertion_error")
_WITHOUT_VALUE = {
    "union_tag_invalid": "The tag is none of those expected",
    "uuid_parsing": "Input should be a valid UUID",
}
"""Replaces messages of pydantic that contain a part of the value."""


def msgspec_error(error: msgspec.ValidationError, sent: Json) -> str:
    """Describe what msgspec refused in `sent`. It was wrapped in a list, which is removed from the path."""
    text, _, path = str(error).rpartition(" - at `")  # it may be "key` in `$[0].x`"
    if error.__cause__ is not None:  # raised by a `__post_init__` or a validator of attrs
        text = _safe(text, sent)
    else:
        text = re.sub(r"^(Invalid (?:enum )?value) .*", r"\1", text, flags=re.DOTALL)
    return _with_path(text, path.removesuffix("`").replace("$[0]", "$", 1))


def pydantic_error(error: ValidationError, sent: Json) -> str:
    """Describe the first thing that pydantic refused in `sent`."""
    if error.error_count() > _MOST_ERRORS:  # pydantic lists all or none, and listing all can take half a second
        return _with_path(f"More than {_MOST_ERRORS} values do not fit", "$")
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    kind, text = first["type"], first["msg"]
    if kind in _WITHOUT_VALUE:
        text = _WITHOUT_VALUE[kind]
    elif kind in _OWN_TEXT or kind not in _pydantics_own():
        text = _safe(text, sent)
    names = [str(name)[:_LONGEST_NAME] for name in first["loc"][:_MOST_NAMES]]
    return _with_path(text, ".".join(["$", *names]))


@functools.cache
def _pydantics_own() -> frozenset[str]:
    from pydantic_core.core_schema import ErrorType

    return frozenset(typing.get_args(ErrorType))


def _with_path(text: str, path: str) -> str:
    if len(text) > _LONGEST:
        text = f"{text[:_LONGEST]}…"
    return f"{text} - at `{path[:_LONGEST]}`"


def _safe(text: str, sent: Json) -> str:
    """The message of the application's own check, unless it repeats a part of the sent value."""
    return "Invalid value" if _repeats(text, sent) else text


def _has_word(text: str, word: str) -> bool:
    word = word.strip()
    return bool(word) and word in text and re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) is not None


def _repeats(text: str, sent: Json) -> bool:
    left = _MOST_LEAVES
    pending = [sent]
    while pending:
        value = pending.pop()
        if isinstance(value, Mapping):
            pending.extend(value.values())
        elif isinstance(value, list):
            pending.extend(value)
        elif value is not None and not isinstance(value, bool):
            word = value if isinstance(value, str) else str(value) if isinstance(value, int | float) else repr(value)
            # Also as `repr` shows a text: `f"cannot take {value!r}"`.
            if _has_word(text, word) or _has_word(text, repr(word)[1:-1]):
                return True
        left -= 1
        if left < 0 or len(pending) > _MOST_LEAVES:
            return True
    return False
