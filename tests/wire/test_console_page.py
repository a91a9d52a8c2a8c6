"""The console in Chromium, driven by `console_page.mjs`; stock clients see what it does. One process, and a cluster."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asgi_realtime import create_token
from tests.support.browser_program import run_browser_program
from tests.support.cluster import Cluster
from tests.support.console_app import CONSOLE_SECRET, SETTINGS, create_app
from tests.support.node_client import ConnectRefused, Node, NodeClient
from tests.support.paths import WIRE
from tests.support.redis_server import RedisProcess
from tests.support.servers import Serve

PROGRAM = WIRE / "console_page.mjs"
MARKUP = "<img src=x onerror=\"document.title='owned'\">"
LONG = "n" * 180
MANY = 210
"""Clients of `crowd`: more than two pages."""


@dataclasses.dataclass(frozen=True)
class Servers:
    """Where the page is, and where the clients are."""

    page: str
    clients: str


@pytest.fixture(params=["one process", "cluster"])
async def servers(
    request: pytest.FixtureRequest, serve: Serve, tmp_path: Path, redis_process: RedisProcess
) -> AsyncIterator[Servers]:
    if request.param == "one process":
        url = (await serve(create_app(SETTINGS))).url
        yield Servers(url, url)
        return
    async with Cluster(tmp_path, redis_process.url, "tests.support.console_app") as cluster:
        first, second = [await cluster.start(MEW_CONSOLE_SECRET=CONSOLE_SECRET) for _ in range(2)]
        yield Servers(first.url, second.url)


async def connect(node: Node, url: str, user_id: str, *rooms: str) -> NodeClient:
    client = await node.connect(url, auth={"token": create_token(user_id, SETTINGS)}, transports=["websocket"])
    for room in rooms:
        await client.call("join", room)
    return client


@pytest.mark.timeout(180)
async def test_an_operator_can_use_the_page(servers: Servers, node: Node, tmp_path: Path) -> None:
    ann = await connect(node, servers.clients, "ann", "tea")
    bob = await connect(node, servers.clients, "bob", "tea")
    marked = await connect(node, servers.clients, MARKUP, MARKUP, LONG)
    await connect(node, servers.clients, LONG * 2)
    await asyncio.gather(*[connect(node, servers.clients, f"crowd {number:03}") for number in range(MANY)])
    about = {"secret": CONSOLE_SECRET, "id": ann.id, "markup": MARKUP, "long": LONG, "crowd": MANY}
    await run_browser_program(PROGRAM, servers.page, str(tmp_path), json.dumps(about))
    for client in (ann, bob):
        assert (await client.expect("said")).data == {"text": "hello from the console"}
        assert (await client.expect(MARKUP)).data == MARKUP
    assert await ann.disconnection() == "io server disconnect"
    for client in (bob, marked):
        assert await client.disconnection() == "io server disconnect"
    assert (await bob.expect("to you")).args == []
    with pytest.raises(ConnectRefused):  # its token is revoked
        await bob.reconnect(auth={"token": create_token("bob", SETTINGS, iat=1_000_000_000)})
