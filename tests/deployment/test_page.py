"""docs/operations/deployment.md shows the files that the tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.paths import DEPLOYMENT, DOCS

FILES = sorted(DEPLOYMENT.iterdir())


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_the_page_shows_the_file(file: Path) -> None:
    page = (DOCS / "operations/deployment.md").read_text("utf-8")
    shown = dict(
        re.findall(r"\(\.\./\.\./examples/deployment/([^)]+)\):\n\n```\w*\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    )
    assert shown[file.name] == file.read_text("utf-8")
