"""The names in an expression of PromQL. That it is one, and gives a result, is for promtool to say."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

_TOKEN: Final = re.compile(r"'[^']*'|\"[^\"]*\"|\[[^]]*\]|[a-zA-Z_:][\w:]*|\d[\d.]*[a-z]*|[=!<>]=?~?|\S")
_GROUPING: Final = ("by", "without", "on", "ignoring", "group_left", "group_right")
_WORDS: Final = ("offset", "and", "or", "unless", "bool")


class Selector(NamedTuple):
    """A name of a series, and what its labels must match."""

    name: str
    matchers: dict[str, str]


class Names(NamedTuple):
    """What an expression names."""

    selectors: list[Selector]
    grouping: set[str]
    """The labels in `by (...)` and similar."""


def names_in(expression: str) -> Names:
    """Read an expression."""
    tokens = [*_TOKEN.findall(expression), ""]
    selectors: list[Selector] = []
    grouping: set[str] = set()
    place = 0
    while tokens[place]:
        token, after = tokens[place], tokens[place + 1]
        place += 1
        if token in _GROUPING:
            end = tokens.index(")", place)
            grouping.update(label for label in tokens[place + 1 : end] if label != ",")
            place = end + 1
        elif re.match(r"[a-zA-Z_:]", token) and token not in _WORDS and after not in ("(", *_GROUPING):
            matchers: dict[str, str] = {}
            if after == "{":
                end = tokens.index("}", place)
                inner = [each for each in tokens[place + 1 : end] if each != ","]
                matchers = {inner[at]: inner[at + 2][1:-1] for at in range(0, len(inner), 3)}
                place = end + 1
            selectors.append(Selector(token, matchers))
    return Names(selectors, grouping)
