"""Makes docstrings and comments of Python."""

from __future__ import annotations

import re
import textwrap

WIDTH = 100
"""Characters of a line."""


def docstring(text: str, indent: str) -> list[str]:
    """The lines of a docstring. A text that does not fit into a line has its first sentence as summary.

    Empty without text.
    """
    text = re.sub(r'"{3,}|"+$', lambda quotes: '\\"' * len(quotes[0]), _one_line(text).replace("\\", "\\\\"))
    if not text:
        return []
    if len(indent) + len(text) + 6 <= WIDTH:
        return [f'{indent}"""{text}"""']
    summary, rest = re.match(r"(.+?[.!?])(?: (.+))?$", text + ("" if text[-1] in ".!?" else ".")).groups()  # type: ignore[union-attr]
    lines = _wrapped(summary, indent, first=3)
    lines[0] = f'{indent}"""{lines[0].strip()}'
    if rest:
        lines += ["", *_wrapped(rest, indent)]
    elif len(lines) == 1:
        return [f'{lines[0]}"""']
    return [*lines, f'{indent}"""']


def comment(text: str, indent: str = "") -> list[str]:
    """The lines of a comment. Empty without text."""
    return [f"{indent}# {line}" for line in textwrap.wrap(_one_line(text), WIDTH - len(indent) - 2)]


def _one_line(text: str) -> str:
    # A module cannot hold NUL, and other control characters would hide what follows them.
    return re.sub(r"[\s\x00-\x1f\x7f]+", " ", text).strip()


def _wrapped(text: str, indent: str, first: int = 0) -> list[str]:
    start = " " * first + indent
    return textwrap.wrap(
        text, WIDTH, initial_indent=start, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
