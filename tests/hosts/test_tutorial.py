"""The tutorial, as printed: each file and command, and what two browsers show, also with two processes and a Redis.

What is not as printed: Redis listens on a socket of the test, and this test has a prefix of its own there. The browser
gets the client from `node_modules` instead of the CDN. The suite uses its own environment, and runs the tests of the
tutorial once, at the end. `make test-five-minutes` installs the packages, and runs the tests after each step.
"""

from __future__ import annotations

import re
from pathlib import Path

import httpx
import pytest

from tests.support.browser_pages import browser_pages
from tests.support.paths import DOCS
from tests.support.printed_page import LONG, build_wheel, printed_page, section
from tests.support.redis_server import RedisProcess

PAGE = DOCS / "start/tutorial.md"
STEPS = re.findall(r"^## (\d\. .+)$", PAGE.read_text("utf-8"), re.MULTILINE)
"""The headings of the steps. The last one starts several processes."""
REDIS = "redis://localhost:6379"
ONE, TWO = "uvicorn app:app &", "uvicorn app:app --workers 2 &"
TESTED = 3
"""The number of the last step after which the suite does not run the tests of the tutorial yet."""
OPENED = re.compile(r"^opened (\S+)$", re.MULTILINE)


@pytest.mark.timeout(600)  # it may wait for other pages with this port
async def test_each_step_works_as_printed(tmp_path: Path, redis_process: RedisProcess) -> None:
    *steps, last = STEPS
    text = PAGE.read_text("utf-8")
    wheels = build_wheel(tmp_path / "wheels") if LONG else None
    folder = tmp_path / "chat"
    folder.mkdir()
    environ = {"BROWSER": "echo opened %s", "MEW_REDIS_PREFIX": tmp_path.name}
    async with browser_pages() as browser:
        # One block: between two of them, another page could take the port, to which the open windows return.
        with printed_page(folder, servers=[ONE, TWO], port=8000, wheels=wheels, environ=environ) as page:
            for number, step in enumerate(steps, start=1):
                done = section(PAGE, step)
                page.follow(done if LONG or number > TESTED else done.replace("$ pytest -q\n", ""))
            printed = "\n".join(page.printed)
            passed = re.findall(r"^\d passed$", text, re.MULTILINE)
            assert re.findall(r"\d+ passed", printed) == (passed if LONG else passed[-1:])
            ann, bob = OPENED.findall(printed)
            browser.open(ann)
            browser.open(bob)
            await say("hello", ann)
            await browser.shows(ann, "ann: hello")
            await browser.shows(bob, "ann: hello")
            assert "Traceback" not in page.output, page.output
            page.stop()
            page.follow(section(PAGE, last).replace(REDIS, redis_process.url))
            await say("are you here too?", bob)
            await browser.shows(ann, "bob: are you here too?")
            await browser.shows(bob, "bob: are you here too?")
            assert "Traceback" not in page.output, page.output


async def say(text: str, page: str) -> None:
    """Send a message as the user of a page does."""
    token = page.partition("#")[2]
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as http:
        answer = await http.post("http://localhost:8000/rooms/tea/messages", json={"text": text})
    answer.raise_for_status()
