"""docs/operations/tracing.md lists every attribute of the declarations."""

from __future__ import annotations

import re

from asgi_realtime.tracing.attributes import ATTRIBUTES, OPERATIONS, Attribute
from tests.support.paths import DOCS

PAGE = (DOCS / "operations/tracing.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| `(?:messaging|realtime|error)\.[\w.]+` \| .+ \|$", PAGE, re.MULTILINE)


def row(attribute: Attribute) -> str:
    """The row of an attribute in the page's table."""
    spans = "all" if attribute.spans == OPERATIONS else ", ".join(f"`{name}`" for name in attribute.spans)
    return f"| `{attribute.name}` | {spans} | {attribute.help} |"


def test_the_page_has_every_attribute() -> None:
    assert ROWS == [row(attribute) for attribute in ATTRIBUTES]


def test_no_name_is_declared_twice() -> None:
    assert len({attribute.name for attribute in ATTRIBUTES}) == len(ATTRIBUTES)


def test_the_page_has_every_operation() -> None:
    assert re.findall(r"^\| `(\w+) GATEWAY \w+` \|", PAGE, re.MULTILINE) == list(OPERATIONS)
