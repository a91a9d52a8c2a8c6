"""`__all__` is the API: every name is there, and the reference lists it in the same groups and order."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from pathlib import Path

import pytest

import asgi_realtime
from asgi_realtime import systems
from tests.support.paths import ROOT

SOURCE = (ROOT / "asgi_realtime" / "__init__.py").read_text(encoding="utf-8")
REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def test_every_exported_name_exists_once() -> None:
    assert len(asgi_realtime.__all__) == len(set(asgi_realtime.__all__))
    for name in asgi_realtime.__all__:
        assert getattr(asgi_realtime, name) is not None


def test_the_reference_lists_what_is_exported_in_the_same_groups() -> None:
    listed = SOURCE.partition("__all__ = [")[2].partition("]")[0]
    exported = re.findall(r'^    (?:# (.+)|"(\w+)",)$', listed, re.MULTILINE)
    documented = re.findall(r"^(?:## (.+)|\| `(\w+)` \| .+)$", REFERENCE, re.MULTILINE)
    assert documented == exported
    assert [name for _, name in exported if name] == asgi_realtime.__all__


@pytest.mark.parametrize("name", [each.name for each in pkgutil.iter_modules(systems.__path__)])
def test_the_package_exports_what_a_system_exports(name: str) -> None:
    system = importlib.import_module(f"{systems.__name__}.{name}")
    assert set(system.__all__) <= set(asgi_realtime.__all__)
    assert all(getattr(system, each) is getattr(asgi_realtime, each) for each in system.__all__)
    assert f"`{system.__name__}`" in REFERENCE


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_documentation_imports_only_exported_names(page: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
        imported = {
            alias.name
            for node in ast.walk(ast.parse(block))
            if isinstance(node, ast.ImportFrom) and node.module == "asgi_realtime"
            for alias in node.names
        }
        # `from asgi_realtime import socketio` takes the place of `import socketio`.
        assert imported <= {"socketio", *asgi_realtime.__all__}
