"""Checks that the fields of a configuration object have their annotated types."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Callable
from typing import Any, Final, TypeGuard

from asgi_realtime.errors import ConfigurationError

MOST_SECONDS: Final = 1e9
"""Most seconds of a setting, about 32 years. Redis and event loops refuse times that are far longer."""
_EXPECTED = {
    "bool": "True or False",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "tuple": "a tuple of texts",
}


def check_fields(owner: Any, variable: Callable[[str], str]) -> None:
    """Check the fields of a frozen dataclass, whose annotations must be strings. A list or set becomes a tuple.

    `variable` returns the name of the environment variable of a field.

    Raises:
        ConfigurationError: the message names the field and the type. The value is not shown: it may be a secret.
    """
    for field in dataclasses.fields(owner):
        value = getattr(owner, field.name)
        annotation, _, none = str(field.type).partition(" | ")
        kind = annotation.partition("[")[0]
        if kind == "tuple" and isinstance(value, list | set | frozenset):
            value = tuple(value)
            object.__setattr__(owner, field.name, value)
        if not _fits(kind, value) and not (none and value is None):
            given = f"the class {value.__name__}" if isinstance(value, type) else type(value).__name__
            argument = f"{type(owner).__name__}({field.name}=...)"
            if kind not in _EXPECTED:
                raise ConfigurationError(f"{argument} must be a {kind} object, not {given}")
            raise ConfigurationError(f"{variable(field.name)} must be {_EXPECTED[kind]}, not {given}: {argument}")


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is an int or a float. A bool is not a number here."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_finite(value: object) -> TypeGuard[float]:
    """Whether a value is a number that is finite as a float."""
    return is_number(value) and -sys.float_info.max <= value <= sys.float_info.max


def is_positive(value: object) -> TypeGuard[float]:
    """Whether a value is a finite number above 0."""
    return is_finite(value) and value > 0


def _fits(kind: str, value: Any) -> bool:
    if kind == "bool":
        return isinstance(value, bool)
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return is_number(value)
    if kind == "str":
        return isinstance(value, str)
    if kind == "tuple":
        return isinstance(value, tuple) and all(isinstance(each, str) for each in value)
    return type(value).__name__ == kind
