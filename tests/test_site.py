"""The documentation site: every page has a place, every link leads somewhere, and nothing is loaded from elsewhere."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.site_pages import MOVED, REFERENCE, page, tabs, write
from tests.support.paths import DOCS, ROOT
from tests.test_exports import OTHERS, documented, names

CONFIGURATION = tomllib.loads((DOCS / "zensical.toml").read_text(encoding="utf-8"))["project"]


def entries(nav: Any) -> Iterator[str]:
    """The pages that the navigation names."""
    if isinstance(nav, str):
        yield nav
    else:
        for each in nav.values() if isinstance(nav, dict) else nav:
            yield from entries(each)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, which was built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    write(folder)
    build = [sys.executable, "-m", "zensical", "build", "--strict", "--config-file", str(folder / "zensical.toml")]
    environ = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(build, cwd=folder, env=environ, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_each_page_is_in_the_navigation_once(site: Path) -> None:
    pages = {file.relative_to(site / "pages").as_posix() for file in (site / "pages").rglob("*.md")}
    decisions = {each for each in pages if each.startswith("decisions/0")}  # their list has links to them
    assert sorted(entries(CONFIGURATION["nav"])) == sorted(pages - decisions)


def test_each_public_name_has_an_entry_with_its_signature(site: Path) -> None:
    for path in ("asgi_realtime", *OTHERS):
        text = (site / "html" / REFERENCE.with_suffix("") / f"{path}.html").read_text(encoding="utf-8")
        made = set(re.findall(r'id="asgi_realtime[\w.]*\.(\w+)" class="doc', text))
        written = set(re.findall(r"<h3[^>]*><code>(\w+)</code>", text))  # of what has no docstring of its own
        assert set(names(documented(path))) - made - written == set(), path
    middleware = (site / "html" / REFERENCE.with_suffix("") / "asgi_realtime.html").read_text(encoding="utf-8")
    plain = re.sub(r"<[^>]+>", "", middleware)
    assert re.search(r"RealtimeMiddleware\(\s*app: ASGIApp,\s*\*,\s*gateways: Sequence\[Mountable\]", plain)


def test_links_to_the_source_are_text() -> None:
    source, here = DOCS / "reference/protocols.md", Path("reference/protocols.md")
    assert "](../../tests/" in source.read_text(encoding="utf-8")
    assert "](../../" not in page(source, here)
    assert "[Recovery](guides/recovery.md)" in page(ROOT / "README.md", MOVED[ROOT / "README.md"])
    assert f"[**All pages**]({MOVED[DOCS / 'README.md']})" in page(ROOT / "README.md", MOVED[ROOT / "README.md"])
    changelog = MOVED[ROOT / "CHANGELOG.md"].name
    assert f"]({changelog})" in page(DOCS / "reference/versions.md", Path("reference/versions.md"))


def test_sections_for_frameworks_are_tabs_with_their_code(site: Path) -> None:
    text = (site / "html/start/frameworks.html").read_text(encoding="utf-8")
    source = (DOCS / "start/frameworks.md").read_text(encoding="utf-8")
    headings = re.findall(r"^### (\w+)$", source, re.MULTILINE)
    assert re.findall(r'<label for="(\w+)">', text) == [each.lower() for each in headings]
    apps = re.findall(r"^`app\.py`:\n\n```py\n(.*?)^```$", source, re.DOTALL | re.MULTILINE)
    *blocks, _ = text.partition('id="run-it"')[0].split('<div class="tabbed-block">')[1:]
    plain = [html.unescape(re.sub(r"<[^>]+>", "", block)) for block in blocks]
    # The last tab, Django's, is only a link.
    for name, app, block in zip(headings[:-1], apps, plain, strict=True):
        assert name.lower() in app.lower(), name
        assert app in block, name
    with pytest.raises(ValueError, match="no heading"):
        tabs("text\n")


def test_the_pages_load_nothing_from_elsewhere(site: Path) -> None:
    pages = [*(site / "html").rglob("*.html")]
    assert len(pages) > 40
    for file in pages:
        text = file.read_text(encoding="utf-8")
        loaded = re.findall(r"<(?:script|img|iframe|source)\b[^>]*\bsrc=[\"']?([^\"'\s>]+)", text)
        loaded += re.findall(r"<link\b[^>]*\bhref=[\"']?([^\"'\s>]+)", text)
        assert [each for each in loaded if re.match(r"(?:https?:)?//", each)] == [], file.name


def test_the_search_finds_sections_and_names(site: Path) -> None:
    found = {each["title"] for each in json.loads((site / "html" / "search.json").read_text("utf-8"))["items"]}
    assert {"Five minutes with FastAPI", "RealtimeMiddleware", "When Redis is away"} <= found
