"""What a check returns."""

from __future__ import annotations

import dataclasses
import re


@dataclasses.dataclass(frozen=True, slots=True)
class Problem:
    """Something that is wrong."""

    variable: str
    """The environment variable, or what else has to be changed, such as a package."""
    text: str
    """What is wrong with it, and what to do. It contains no secret."""


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """A check that has run."""

    name: str
    result: str
    """What was found, for people."""
    problems: tuple[Problem, ...] = ()


_VARIABLE = re.compile(r"\b(?:MEW_[A-Z0-9_]+|WS_AUTH_TOKEN|WS_ALLOW_DEMO_TOKEN|CORS_ORIGIN)\b")


def problem_of(message: str) -> Problem:
    """The problem that an error or a warning of the package describes. It is that of the first variable it names."""
    found = _VARIABLE.search(message)
    name = found[0] if found else ""
    return Problem(name, message.removeprefix(f"{name}: "))
