"""Environment variables of dataclasses: the name of each field's variable, and how its text is read."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from starlette.config import Config

from asgi_realtime.errors import ConfigurationError


def variable(field: str) -> str:
    """The environment variable of a field."""
    if field == "events_cors_origin":
        return "CORS_ORIGIN"
    if field.startswith("ws_"):
        return field.upper()
    return "MEW_" + field.upper()


def read_fields(config: Config, kind: type) -> dict[str, Any]:
    """The fields of a dataclass whose variables are set.

    Raises:
        ConfigurationError: a text cannot be read as its field's type. The message names the variable.
    """
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        name = variable(field.name)
        text = config.environ.get(name)
        if field.name == "limits" or text is None or (not text.strip() and field.name != "events_cors_origin"):
            continue
        cast, expected = _cast(field)
        try:
            values[field.name] = config(name, cast=cast)
        except ValueError:
            # The value itself stays out of the message: it may be a secret put into the wrong variable.
            raise ConfigurationError(f"{name} must be {expected}") from None
    return values


def _cast(field: dataclasses.Field[Any]) -> tuple[Callable[[str], Any], str]:
    """How a field is parsed, and what an error says about the expected value."""
    annotation = str(field.type)
    if annotation == "bool":
        return _boolean, "true or false"
    if annotation == "int":
        return int, "a whole number"
    if annotation == "float":
        return float, "a number"
    if annotation.startswith("tuple"):
        return _list, "a list, separated by commas"
    # A secret (a field that no repr shows) keeps its spaces.
    return str.strip if field.repr else str, "text"


def _boolean(text: str) -> bool:
    word = text.strip().lower()
    if word not in ("true", "1", "yes", "on", "false", "0", "no", "off"):
        raise ValueError(word)
    return word in ("true", "1", "yes", "on")


def _list(text: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in text.split(",") if part.strip())
