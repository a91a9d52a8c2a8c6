"""The code of every page runs: the blocks of a page, in order, are one module, and its tests are run."""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.support.paths import ROOT
from tests.support.servers import Serve

PAGES = [
    page
    for page in sorted({*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")})
    if "```python" in page.read_text(encoding="utf-8")
]


def code_of(page: Path) -> str:
    """The page with all but its Python blanked out, so that line numbers stay those of the page."""
    text = page.read_text(encoding="utf-8")
    lines = [""] * (text.count("\n") + 1)
    for block in re.finditer(r"^```python\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
        first = text.count("\n", 0, block.start(1))
        for offset, line in enumerate(block[1].splitlines()):
            lines[first + offset] = line
    return "\n".join(lines)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
async def test_the_code_of_a_page_runs(page: Path, monkeypatch: pytest.MonkeyPatch, serve: Serve) -> None:
    monkeypatch.setenv("MEW_JWT_SECRET", "a secret of at least thirty-two bytes")
    module = ModuleType(f"page_{page.stem}")
    monkeypatch.setitem(sys.modules, module.__name__, module)  # where annotations are looked up
    exec(compile(code_of(page), page, "exec"), module.__dict__)
    for name, test in list(vars(module).items()):
        if name.startswith("test_"):
            result = test(serve) if inspect.signature(test).parameters else test()
            if inspect.isawaitable(result):
                await result
