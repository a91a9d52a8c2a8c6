"""Tests, benchmarks and examples use the package by public names: they read no private attribute of an object."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PROGRAMS = sorted(path for folder in ("tests", "benchmarks", "examples") for path in ROOT.glob(f"{folder}/**/*.py"))
BY_TEXT = {"getattr", "setattr", "hasattr", "delattr", "attrgetter", "methodcaller"}
"""Functions that take an attribute's name as text: the built-in ones, `operator`'s and those of `monkeypatch`."""


def private_names(code: str) -> Iterator[str]:
    """The private attributes of other objects that a program uses, and its imports of private names."""
    for node in ast.walk(ast.parse(code)):
        used: list[str] = []
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) not in ("self", "cls", "super()"):
            used = [node.attr]
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "asgi_realtime":
            used = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in BY_TEXT:
            used = [each.value for each in node.args if isinstance(each, ast.Constant) and isinstance(each.value, str)]
        elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            holder = ast.unparse(node.value)
            used = [str(node.slice.value)] if holder.startswith("vars(") or holder.endswith(".__dict__") else []
        yield from (name for name in used if name.startswith("_") and not name.endswith("__"))


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_program_uses_no_private_name_of_the_package(program: Path) -> None:
    assert set(private_names(program.read_text(encoding="utf-8"))) == set()


@pytest.mark.parametrize(
    "code",
    [
        "rooms._x",
        "rooms._x = 1",
        "self.rooms._x",
        "getattr(rooms, '_x')",
        "monkeypatch.setattr(rooms, '_x', 1)",
        "vars(rooms)['_x']",
        "rooms.__dict__['_x']",
        "from asgi_realtime.hub.rooms import _x",
        "def test(): return [each._x for each in rooms]",
    ],
)
def test_every_way_to_a_private_name_is_found(code: str) -> None:
    assert list(private_names(code)) == ["_x"]


@pytest.mark.parametrize(
    "code", ["self._x", "cls._x", "super()._x()", "rooms.x", "type(rooms).__name__", "vars(rooms)['x']", "_x = 1"]
)
def test_other_names_are_not_reported(code: str) -> None:
    assert list(private_names(code)) == []
