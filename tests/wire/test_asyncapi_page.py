"""The page of an AsyncAPI document in Chromium, driven by `asyncapi_page.mjs`."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from asgi_realtime import AsyncAPIPage, RealtimeMiddleware, Settings
from tests.support.boards import BoardGateway, StreamGateway
from tests.support.browser_program import run_browser_program
from tests.support.hostile_gateway import HostileGateway
from tests.support.paths import WIRE
from tests.support.servers import Serve

PROGRAM = WIRE.joinpath("asyncapi_page.mjs")


@pytest.mark.timeout(180)
async def test_people_can_use_the_page(serve: Serve, tmp_path: Path) -> None:
    app = RealtimeMiddleware(
        Starlette(routes=[Route("/asyncapi", AsyncAPIPage(title="Boards"))]),
        gateways=[BoardGateway("/boards"), StreamGateway("/stream"), HostileGateway("/hostile")],
        settings=Settings(jwt_secret="a secret for tests that is long enough"),
    )
    server = await serve(app)
    await run_browser_program(PROGRAM, f"{server.url}/asyncapi", str(tmp_path))
