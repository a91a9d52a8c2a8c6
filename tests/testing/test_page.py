"""The page on testing: each block of code names its file, and the files run as a reader would run them."""

from __future__ import annotations

import re
from collections import defaultdict
from importlib.metadata import version
from pathlib import Path

import pytest
from packaging.version import Version

from tests.support.paths import DOCS
from tests.support.pytest_run import run_pytest

pytestmark = pytest.mark.timeout(300)
"""Seconds. Each test starts Python and imports everything again."""

PAGE = (DOCS / "guides/testing.md").read_text(encoding="utf-8")


def files(*, anyio: bool) -> dict[str, str]:
    """The files of the page. Blocks with the same name are one file."""
    found: dict[str, str] = defaultdict(str)
    for block in re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE):
        named = re.match(r"# (\w+\.py)( for anyio)?\n", block)
        assert named is not None, f"no file is named: {block[:80]}"
        if anyio or named[2] is None:
            found[named[1]] += block
    return found


OLD = Version(version("anyio")) < Version("4.12")
ANYIO = pytest.param("anyio", marks=pytest.mark.skipif(OLD, reason="AnyIO before 4.12 has no anyio_mode"))


@pytest.mark.parametrize("plugin", [ANYIO, "asyncio"])
def test_its_tests_run_with_each_plugin(tmp_path: Path, plugin: str) -> None:
    found = files(anyio=plugin == "anyio")
    tests = sum(text.count("\nasync def test_") for text in found.values())
    assert tests >= 13
    run = run_pytest(tmp_path, found, "-o", f"{plugin}_mode=auto", pytest_asyncio=plugin == "asyncio")
    assert run.counts == {"passed": tests}, run.text
