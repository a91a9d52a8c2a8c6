"""The Django example, as `make demo-django` starts it, in Chromium."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import httpx
import pytest

from tests.support.browser_program import run_browser_program
from tests.support.django_server import serving_process
from tests.support.paths import ROOT, WIRE
from tests.support.redis_server import free_port
from tests.support.waiting import until


@pytest.mark.timeout(180)
async def test_people_can_use_the_page(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/"
    environ = {"PORT": str(port), "CHAT_FOLDER": str(tmp_path), "PYTHONUNBUFFERED": "1"}
    kept = {name: text for name, text in os.environ.items() if not name.startswith(("MEW_", "DJANGO_"))}
    output = tmp_path / "server.log"
    with serving_process([sys.executable, "-m", "examples.django_app"], output, cwd=ROOT, env=kept | environ):
        async with httpx.AsyncClient() as http:

            async def answers() -> bool:
                try:
                    return (await http.get(f"{url}log-in")).is_success
                except httpx.TransportError:
                    return False

            await until(answers, seconds=60)
        await run_browser_program(WIRE / "django_example_page.mjs", url, str(tmp_path))
        printed = output.read_text()
        assert "Mew on Django is at http://localhost:" in printed
        assert "Traceback" not in printed and "SynchronousOnlyOperation" not in printed, printed
