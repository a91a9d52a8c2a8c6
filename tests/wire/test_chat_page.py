"""The example's chat page in Chromium: two desktop windows and a phone, driven by `chat_page.mjs`."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

import pytest

from examples.fastapi_app.app import create_app
from tests.support.mew_app import SETTINGS
from tests.support.paths import WIRE
from tests.support.servers import Serve

PROGRAM = WIRE.joinpath("chat_page.mjs")


@pytest.mark.timeout(180)
async def test_people_can_use_the_page(serve: Serve, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, presence_grace=1.0)
    server = await serve(create_app(settings, f"sqlite:///{tmp_path}/mew.db"))
    browser = await asyncio.create_subprocess_exec(
        *("node", str(PROGRAM), f"{server.url}/", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        output, _ = await browser.communicate()
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
    assert browser.returncode == 0, output.decode()
