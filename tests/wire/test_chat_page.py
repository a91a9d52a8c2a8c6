"""The example's chat page in Chromium: two desktop windows and a phone, driven by `chat_page.mjs`."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from examples.fastapi_app.app import create_app
from tests.support.browser_program import run_browser_program
from tests.support.mew_app import SETTINGS
from tests.support.paths import WIRE
from tests.support.servers import Serve

PROGRAM = WIRE.joinpath("chat_page.mjs")


@pytest.mark.timeout(180)
async def test_people_can_use_the_page(serve: Serve, tmp_path: Path) -> None:
    settings = dataclasses.replace(SETTINGS, presence_grace=1.0)
    server = await serve(create_app(settings, f"sqlite:///{tmp_path}/mew.db"))
    await run_browser_program(PROGRAM, f"{server.url}/", str(tmp_path))
