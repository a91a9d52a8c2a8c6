"""An open page of the console ends with its session, in Chromium: `console_session.mjs`."""

from __future__ import annotations

import asyncio
import dataclasses

from asgi_realtime import RealtimeConsole
from tests.support.browser_program import run_browser_program
from tests.support.console_app import CONSOLE_SECRET, SETTINGS, create_app
from tests.support.console_client import PATH
from tests.support.paths import WIRE
from tests.support.redis_server import free_port
from tests.support.servers import Serve
from tests.support.waiting import until

PROGRAM = WIRE / "console_session.mjs"


async def test_a_page_asks_to_log_in_when_its_session_expires(serve: Serve) -> None:
    server = await serve(create_app(SETTINGS, RealtimeConsole(session_seconds=4.0)))
    await run_browser_program(PROGRAM, server.url, CONSOLE_SECRET, CONSOLE_SECRET)


async def test_a_page_asks_to_log_in_when_the_app_has_another_secret(serve: Serve) -> None:
    port, another = free_port(), "another secret of the app"
    app = create_app(SETTINGS)
    server = await serve(app, port=port)

    async def is_open() -> bool:
        nodes = (await app.realtime.broadcaster.nodes()).value
        return nodes[0].connections[PATH] == 1

    browser = asyncio.create_task(run_browser_program(PROGRAM, server.url, CONSOLE_SECRET, another))
    await until(is_open)
    await server.stop()
    await serve(create_app(dataclasses.replace(SETTINGS, console_secret=another)), port=port)
    await browser
