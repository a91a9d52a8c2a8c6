"""One Chromium that opens pages for a test, and tells what appears in them."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractAsyncContextManager

from tests.support.node_program import node_program
from tests.support.paths import WIRE

SECONDS = 60.0
"""The longest time that a test waits for a text."""


class BrowserPages:
    """The pages of one browser."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._shown: list[tuple[str, str]] = []
        self._changed = asyncio.Condition()

    def open(self, url: str) -> None:
        """Open a page in a tab of its own."""
        assert self._process.stdin is not None
        self._process.stdin.write(url.encode() + b"\n")

    async def shows(self, url: str, text: str) -> None:
        """Wait until an element with this text has been added to the page.

        Raises:
            AssertionError: it did not come. The error has all that came.
        """
        try:
            async with asyncio.timeout(SECONDS), self._changed:
                await self._changed.wait_for(lambda: (url, text) in self._shown)
        except TimeoutError:
            raise AssertionError(f"{url} did not show {text!r}, but {self._shown}") from None

    async def read(self) -> None:
        """Take what the program prints, until it ends."""
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            shown = json.loads(line)
            async with self._changed:
                self._shown.append((shown["url"], shown["text"]))
                self._changed.notify_all()


def browser_pages() -> AbstractAsyncContextManager[BrowserPages]:
    """Run the browser until the block ends."""
    return node_program(WIRE / "pages.mjs", BrowserPages)
