"""Makes TypeScript doc comments."""

from __future__ import annotations

import re
import textwrap

_WIDTH = 100


def comment(*sentences: str, indent: str = "") -> list[str]:
    """The lines of a doc comment. Empty if there is no text."""
    text = re.sub(r"\s+", " ", " ".join(sentence.strip() for sentence in sentences if sentence.strip()))
    text = text.replace("*/", "*\\/")
    if not text:
        return []
    if len(indent) + len(text) + 7 <= _WIDTH:
        return [f"{indent}/** {text} */"]
    lines = textwrap.wrap(text, _WIDTH - len(indent) - 3, break_long_words=False, break_on_hyphens=False)
    return [f"{indent}/**", *(f"{indent} * {line}" for line in lines), f"{indent} */"]
