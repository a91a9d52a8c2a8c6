"""`__all__` is the API: its names exist and are in the reference, and pages and examples need no other names."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import asgi_realtime
from asgi_realtime import systems
from asgi_realtime.uvicorn import EXTENSION
from tests.support.new_python import printed_by
from tests.support.paths import DOCS, PACKAGE, ROOT

SYSTEMS = [f"{systems.__name__}.{each.name}" for each in pkgutil.iter_modules(systems.__path__)]
OTHERS = [
    f"asgi_realtime.{name}" for name in ("testing", "client", "uvicorn", "django", "wsgi", "socketio", "litestar")
]
PUBLIC = {path: importlib.import_module(path) for path in ("asgi_realtime", *OTHERS, *SYSTEMS)}
"""The public import paths."""

REFERENCE = (DOCS / "reference/api.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted(ROOT.glob("docs/**/*.md")), *ROOT.glob("clients/*/*.md")]
HOSTS = sorted(
    path
    for pattern in ("examples/**/*.py", "tests/support/polls/*.py", "tests/support/host_app.py")
    for path in ROOT.glob(pattern)
)
"""Programs that use the package as a host does."""


def exported(path: str) -> list[tuple[str, str]]:
    """The groups and names of a path's `__all__`, in order: `("Mounting", "")`, `("", "RealtimeMiddleware")`, ..."""
    folder = PACKAGE.joinpath(*(path.split(".")[1:] or ["exports"]))
    source = (folder / "__init__.py" if folder.is_dir() else folder.with_suffix(".py")).read_text(encoding="utf-8")
    listed = source.partition("__all__ = [")[2].partition("]")[0]
    groups: list[tuple[str, str]] = re.findall(r'^\s+(?:# (.+)|"(\w+)",)$', listed, re.MULTILINE)
    return groups or [("", name) for name in re.findall(r'"(\w+)"', listed)]


def documented(path: str) -> list[tuple[str, str]]:
    """The same from the reference."""
    section = REFERENCE.partition(f"\n## `{path}`\n")[2].partition("\n## ")[0]
    return re.findall(r"^(?:### (.+)|\| `(\w+)` \| .+)$", section, re.MULTILINE)


def names(groups: list[tuple[str, str]]) -> list[str]:
    return [name for _, name in groups if name]


@pytest.mark.parametrize("path", PUBLIC)
def test_every_exported_name_exists_once(path: str) -> None:
    listed: list[str] = PUBLIC[path].__all__
    assert len(listed) == len(set(listed))
    assert names(exported(path)) == listed
    for name in listed:
        assert getattr(PUBLIC[path], name) is not None


@pytest.mark.parametrize("path", ["asgi_realtime", *OTHERS])
def test_the_reference_lists_what_is_exported_in_the_same_groups(path: str) -> None:
    assert documented(path) == exported(path)


@pytest.mark.parametrize("path", SYSTEMS)
def test_the_package_exports_what_a_system_exports_as_a_group(path: str) -> None:
    system = PUBLIC[path]
    assert all(getattr(system, each) is getattr(asgi_realtime, each) for each in system.__all__)
    (group,) = [
        group
        for group in REFERENCE.partition("\n## `asgi_realtime`\n")[2].partition("\n## ")[0].split("\n### ")
        if f"Also in `{path}`." in group
    ]
    assert re.findall(r"^\| `(\w+)` \|", group, re.MULTILINE) == system.__all__


def test_the_server_is_imported_when_one_of_its_names_is_used() -> None:
    code = (
        "import sys, asgi_realtime\n"
        "print(asgi_realtime.__version__, 'starlette' in sys.modules, 'Broadcaster' in dir(asgi_realtime))\n"
        "from asgi_realtime import *\n"
        "print(Broadcaster is asgi_realtime.Broadcaster, hasattr(asgi_realtime, 'Nothing'))"
    )
    assert printed_by(code) == f"{asgi_realtime.__version__} False True\nTrue False\n"


def test_the_frames_extension_is_imported_without_uvicorn() -> None:
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from asgi_realtime import uvicorn\n"
        "print([name for name in uvicorn.__all__ if name.endswith('Protocol') or getattr(uvicorn, name) is None])"
    )
    assert printed_by(code) == "['WebSocketProtocol', 'HTTPProtocol']\n"


def imported(code: str) -> Iterator[str]:
    """What a program imports from the package: `asgi_realtime.Settings`, `asgi_realtime.testing.Socket`, ..."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "asgi_realtime")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "asgi_realtime":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_public(name: str) -> bool:
    """Whether a dotted name is a public path, or a name that one exports, or an attribute of such a name."""
    if name in PUBLIC:
        return True
    path = max((each for each in PUBLIC if name.startswith(f"{each}.")), key=len)
    return name.removeprefix(f"{path}.").split(".")[0] in PUBLIC[path].__all__


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_a_page_names_only_what_is_public(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    used = {name for block in blocks for name in imported(block)}
    mentioned = {name.replace(":", ".") for name in re.findall(r"\basgi_realtime(?:\.\w+)+(?::\w+)?", text)}
    assert {name for name in used | mentioned - {EXTENSION} if not is_public(name)} == set()


@pytest.mark.parametrize("program", HOSTS, ids=lambda program: program.relative_to(ROOT).as_posix())
def test_an_example_imports_only_what_is_public(program: Path) -> None:
    assert {name for name in imported(program.read_text(encoding="utf-8")) if not is_public(name)} == set()
