"""The code of every page runs. The blocks of a page, in order, are one module, whose tests are run."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import DOCS, ROOT
from tests.support.servers import Serve


def is_one_module(page: Path) -> bool:
    """Whether a page has code that is one module. If its blocks are files, `tests.testing.test_page` runs them."""
    text = page.read_text(encoding="utf-8")
    return "```python" in text and "```python\n# conftest.py" not in text


PAGES = [page for page in sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")}) if is_one_module(page)]

FILE = re.compile(r"^```py (\S+\.py)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
"""A module that the code of a page imports: its name, and its text."""

LINK = re.compile(r"\]\((?!https?:)([^)\s]+)\)")
"""The address of a link to another page or heading of the project."""


NAMED = re.compile(r"[\w./-]*\w\.md\b")
"""The name of a page, in a text."""
NAMING = [
    file
    for pattern in (
        "*.md",
        "docs/**/*.md",
        "asgi_realtime/**/*.py",
        "examples/**/*.py",
        "clients/typescript/src/**/*.ts",
        "tests/**/*.py",
    )
    for file in sorted(ROOT.glob(pattern))
]
"""The files whose texts send a reader to a page."""
FROM = (ROOT, DOCS, DOCS / "reference")
"""Where such names may begin. The last is for the metrics, whose descriptions are a table of `reference/metrics.md`."""


def code_of(page: Path) -> str:
    """The Python code of the page. Other lines are blank, so that line numbers equal those of the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


def write_modules(page: Path, folder: Path) -> None:
    """Write the modules that the code of a page imports."""
    for name, text in FILE.findall(page.read_text(encoding="utf-8")):
        (folder / name).write_text(text, encoding="utf-8")


def anchors_of(page: Path) -> set[str]:
    """The anchors of the headings of a page, as GitHub makes them."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def test_every_link_leads_to_a_file_and_a_heading() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*/*.md")]
    links = [(page, *link.partition("#")[::2]) for page in pages for link in LINK.findall(page.read_text("utf-8"))]
    assert len(links) > 200
    for page, file, anchor in links:
        target = page.parent / file if file else page
        assert target.exists(), f"{page.name}: {file}"
        assert not anchor or anchor in anchors_of(target), f"{page.name}: {file}#{anchor}"


def test_the_list_of_pages_has_each_page_once() -> None:
    listed = re.findall(r"^\| \[.+?\]\((.+?)\)", (DOCS / "README.md").read_text("utf-8"), re.MULTILINE)
    pages = [page.relative_to(DOCS) for page in DOCS.rglob("*.md") if page.parent not in (DOCS, DOCS / "decisions")]
    assert sorted(listed) == sorted([*map(str, pages), "decisions", "../CHANGELOG.md"])


def test_every_page_that_a_file_names_exists() -> None:
    named = [(file, page) for file in NAMING for page in NAMED.findall(file.read_text("utf-8"))]
    assert {file.suffix for file, _ in named} >= {".md", ".py"}
    missing = [
        f"{file.relative_to(ROOT)}: {page}"
        for file, page in named
        if not any((folder / page).exists() for folder in (file.parent, *FROM))
    ]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
async def test_the_code_of_a_page_runs(
    page: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve, tmp_path: Path
) -> None:
    monkeypatch.setenv("MEW_JWT_SECRET", "a secret of at least thirty-two bytes")
    monkeypatch.syspath_prepend(tmp_path)
    write_modules(page, tmp_path)
    module = ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where annotations are looked up
    exec(compile(code_of(page), page, "exec"), module.__dict__)
    for name, test in list(vars(module).items()):
        if name.startswith("test_"):
            result = test(serve) if inspect.signature(test).parameters else test()
            if inspect.isawaitable(result):
                await result
