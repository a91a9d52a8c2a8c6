"""docs/reference/protocols.md: every row names tests, the tests exist, and no event of a system is missing."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from asgi_realtime import ChatGateway, EventsGateway, InfraGateway, JobsGateway, MewGateway
from asgi_realtime.gateways.base import Gateway
from asgi_realtime.gateways.declarations import declarations
from tests.support.paths import DOCS

PAGE = DOCS / "reference/protocols.md"
TEXT = PAGE.read_text(encoding="utf-8")
SECTIONS = {
    title: body
    for title, body in re.findall(r"^## (?:\d\. )?([^\n]+)\n(.*?)(?=^## |\Z)", TEXT, re.DOTALL | re.MULTILINE)
}
ROWS = [row for row in re.findall(r"^\| (.+) \|$", TEXT, re.MULTILINE) if not row.endswith("| tests")]
LINKS = sorted(set(re.findall(r"\[`([^`\]]+)`\]\(([^)]+)\)", TEXT)))

SYSTEMS: list[tuple[str, type[Gateway]]] = [
    *(("Mew", MewGateway), ("Mew", InfraGateway)),
    ("Events", EventsGateway),
    ("Chat", ChatGateway),
    ("Jobs", JobsGateway),
]
"""The section of each gateway. Events that every Socket.IO or JSON gateway has are not repeated."""
INHERITED = {"auth/refresh"}


def names_in(path: Path) -> set[str]:
    """The names of the tests of a Python or JavaScript file."""
    source = path.read_text(encoding="utf-8")
    if path.suffix == ".py":
        functions = (ast.FunctionDef, ast.AsyncFunctionDef)
        return {node.name for node in ast.walk(ast.parse(source)) if isinstance(node, functions)}
    return {name for _, name in re.findall(r"""\b(?:test|it)\(\s*(["'`])(.+?)\1""", source)}


def test_there_is_a_section_for_each_system() -> None:
    assert list(SECTIONS) == ["Common to all", "Mew", "Events", "Chat", "Jobs", "Recovery"]


def test_every_row_names_a_test() -> None:
    assert len(ROWS) > 40
    assert [row for row in ROWS if not re.search(r"\| \[`[^`]+`\]\([^)]+\)", row)] == []


@pytest.mark.parametrize("file", sorted({file for _, file in LINKS}))
def test_the_tests_that_are_named_exist(file: str) -> None:
    named = {name for name, linked in LINKS if linked == file}
    assert named <= names_in(PAGE.parent / file)


@pytest.mark.parametrize(("section", "gateway"), SYSTEMS, ids=lambda value: getattr(value, "__name__", value))
def test_no_event_is_missing(section: str, gateway: type[Gateway]) -> None:
    named = set(re.findall(r"`([^`]+)`", SECTIONS[section]))
    assert {event.name for event in declarations(gateway)} - INHERITED <= named
