"""Runs a program of `tests/wire` that drives Chromium."""

from __future__ import annotations

import asyncio
from pathlib import Path


async def run_browser_program(program: Path, *arguments: str) -> None:
    """Run it with Node, to its end. What it prints is shown if it fails."""
    browser = await asyncio.create_subprocess_exec(
        *("node", str(program), *arguments), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        output, _ = await browser.communicate()
    finally:
        if browser.returncode is None:
            browser.kill()
            await browser.wait()
    assert browser.returncode == 0, output.decode()
