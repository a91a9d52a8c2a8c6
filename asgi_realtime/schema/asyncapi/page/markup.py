"""Makes HTML. Text is escaped, unless it is HTML that was made here."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from typing import TypeAlias


class Html(str):
    """A text that is HTML already."""

    __slots__ = ()


Child: TypeAlias = str | None
"""What may be in an element: `Html`, a text, which is escaped, or nothing."""
_VOID = frozenset({"input", "link", "meta"})


def element(name: str, /, *children: Child, **attributes: str | bool | None) -> Html:
    """An element of HTML.

    In the names of attributes, `_` at the end is left out, and others are hyphens: `class_`, `aria_label`. True: the
    attribute has no value. False or None: it is not there.
    """
    shown = "".join(
        f" {_attribute(key)}" if value is True else f' {_attribute(key)}="{html.escape(value)}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    return Html(f"<{name}{shown}>" if name in _VOID else f"<{name}{shown}>{together(*children)}</{name}>")


def _attribute(key: str) -> str:
    return key.rstrip("_").replace("_", "-")


def together(*children: Child) -> Html:
    """Several children, one after the other."""
    return Html("".join(child if isinstance(child, Html) else html.escape(child) for child in children if child))


def joined(separator: str, children: Iterable[Child]) -> Html:
    """Children with a text between them."""
    return Html(html.escape(separator).join(together(child) for child in children))


def code(text: str) -> Html:
    """A text in a font for code."""
    return element("code", text)


def prose(text: str) -> Html:
    """Paragraphs of a description. What is between backticks is code; other Markdown stays as it is."""
    return together(*(element("p", inline(paragraph)) for paragraph in re.split(r"\n\s*\n", text.strip()) if paragraph))


def inline(text: str) -> Html:
    """A text in which what is between backticks is code."""
    parts = re.split(r"`([^`\n]+)`", text)
    return together(*(code(part) if number % 2 else part for number, part in enumerate(parts)))


def anchor(kind: str, name: str) -> str:
    """The id of an element. Other kinds and names make other ids, and a link to one needs no escape."""
    return f"{kind}:" + re.sub(r"[^A-Za-z0-9._-]", lambda one: f"~{ord(one[0]):x}~", name)
