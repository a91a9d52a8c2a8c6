"""An open page of the console ends with its session, in Chromium: `console_session.mjs`."""

from __future__ import annotations

import asyncio
import dataclasses

from starlette.types import Receive, Scope, Send

from asgi_realtime import RealtimeConsole
from tests.support.browser_program import run_browser_program
from tests.support.console_app import CONSOLE_SECRET, SETTINGS, create_app
from tests.support.paths import WIRE
from tests.support.servers import Serve

PROGRAM = WIRE / "console_session.mjs"


async def test_a_page_asks_to_log_in_when_its_session_expires(serve: Serve) -> None:
    server = await serve(create_app(SETTINGS, RealtimeConsole(session_seconds=4.0)))
    await run_browser_program(PROGRAM, server.url, CONSOLE_SECRET, CONSOLE_SECRET)


async def test_a_page_asks_to_log_in_when_the_app_has_another_secret(serve: Serve) -> None:
    another, is_open = "another secret of the app", asyncio.Event()
    app = create_app(SETTINGS)

    async def noticing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == "/page-is-open":
            is_open.set()
        await app(scope, receive, send)

    server = await serve(noticing)
    async with asyncio.TaskGroup() as tasks:  # a browser that fails ends the wait, and is shown
        tasks.create_task(run_browser_program(PROGRAM, server.url, CONSOLE_SECRET, another))
        await is_open.wait()
        await server.stop()
        await serve(create_app(dataclasses.replace(SETTINGS, console_secret=another)), port=server.port)
