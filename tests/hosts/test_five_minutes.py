"""From an empty folder to a message in the browser: the files and commands of the page, as it prints them.

`make test-five-minutes` does all that is printed. The suite leaves out the lines that make the virtual environment and
install packages, and uses its own environment.

What is not as printed: pip looks for `asgi_realtime` also in a folder with a wheel of this checkout, and the browser
gets the client from `node_modules` instead of the CDN.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.browser_pages import BrowserPages, browser_pages
from tests.support.paths import DOCS, ROOT
from tests.support.printed_page import LONG, build_wheel, printed_page, section

PAGE = DOCS / "start/frameworks.md"
FRAMEWORKS = ("FastAPI", "Litestar", "Quart", "Flask")
OTHERS = ("Starlette", "Falcon", "BlackSheep", "Sanic")
SERVER = "uvicorn app:app &"
FILE = re.compile(r"^`([\w.]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.mark.timeout(900)
async def test_a_message_is_in_the_browser_after_five_minutes(tmp_path: Path) -> None:
    wheels = build_wheel(tmp_path / "wheels") if LONG else None
    async with browser_pages() as browser:
        for framework in FRAMEWORKS + OTHERS if LONG else FRAMEWORKS:
            await follow_the_page(framework, new_folder(tmp_path, framework), wheels, browser)


async def follow_the_page(framework: str, folder: Path, wheels: Path | None, browser: BrowserPages) -> None:
    """Do what the page says, and look at the browser."""
    opening, sending = section(PAGE, "Run it").split("\nThen send a message:\n")
    environ = {"BROWSER": "echo opened %s"}
    with printed_page(folder, servers=[SERVER], port=8000, wheels=wheels, environ=environ) as page:
        page.follow(section(PAGE, "An empty folder"))
        page.follow(section(PAGE, framework, level=3))
        page.follow(opening)
        (url,) = re.findall(r"^opened (\S+)$", page.printed[-1], re.MULTILINE)
        browser.open(url)
        await browser.shows(url, "welcome, ann")
        page.follow(sending)
        await browser.shows(url, "hello")
        (seen,) = re.findall(rf"^\$ {re.escape(SERVER)}\n(.+)$", opening, re.MULTILINE)
        assert seen in page.output
        assert "Traceback" not in page.output, page.output
        page.stop()
        if LONG:
            page.follow(section(PAGE, "Test it"))
            assert "1 passed" in page.printed[-1]


def new_folder(parent: Path, name: str) -> Path:
    """Make an empty folder."""
    folder = parent / name
    folder.mkdir()
    return folder


@pytest.mark.parametrize("framework", FRAMEWORKS + OTHERS)
def test_the_page_shows_the_examples(framework: str) -> None:
    files = dict(FILE.findall(section(PAGE, "An empty folder") + section(PAGE, framework, level=3)))
    examples = ROOT / "examples" / "hosts"
    assert files == {
        "index.html": examples.joinpath("index.html").read_text(encoding="utf-8"),
        "app.py": examples.joinpath(f"{framework.lower()}_app.py").read_text(encoding="utf-8"),
    }
