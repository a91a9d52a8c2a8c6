"""The Flask example's `/websocket-test` in Chromium, by `websocket_test_page.mjs`, and the command-line version."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from asgi_realtime import Settings
from examples.flask_adapter.app import create_app
from tests.support.paths import ROOT, WIRE
from tests.support.servers import Serve

PAGE = WIRE.joinpath("websocket_test_page.mjs")
TWIN = ROOT / "clients" / "typescript" / "websocket-test.mjs"
SETTINGS = Settings(jwt_secret="a secret for tests that is long enough", dev=True, ws_allow_demo_token=True)


async def node(program: Path, *arguments: str) -> tuple[int | None, str]:
    """Run a program to its end. Returns its exit code and output."""
    running = await asyncio.create_subprocess_exec(
        *("node", str(program), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await running.communicate()
    finally:
        if running.returncode is None:
            running.kill()
            await running.wait()
    return running.returncode, output.decode()


@pytest.mark.timeout(180)
async def test_the_page_shows_start_stages_failure_and_a_restart(tmp_path: Path) -> None:
    code, output = await node(PAGE, sys.executable, str(tmp_path))
    assert code == 0, output


async def test_the_command_line_client_follows_a_job(serve: Serve, tmp_path: Path) -> None:
    server = await serve(create_app(SETTINGS, tmp_path / "flask.db"))
    options = ("--url", server.url, "--seconds", "0.05")
    code, output = await node(TWIN, *options)
    assert code == 0, output
    assert " + job " in output and " > join_job " in output
    assert '"status":"COMPLETED"' in output

    code, output = await node(TWIN, *options, "--fail-at", "OUTLINE")
    assert code == 1
    assert '"status":"FAILED"' in output

    code, output = await node(TWIN, *options, "--token", "wrong", "some-job")
    assert code == 1
    assert "! UNAUTHORIZED" in output
