"""Stock clients of a deployed app: one for each way to connect."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
from websockets.asyncio.client import ClientConnection, connect

from asgi_realtime import Settings, create_token
from asgi_realtime.values.json import Json
from tests.support.node_client import Node, NodeClient

SETTINGS: Final = Settings(jwt_secret="a secret for tests that is long enough")
TRANSPORTS: Final = (["polling"], ["websocket"], ["polling", "websocket"])
PATIENCE: Final = 20.0
"""The longest time that a test waits for anything, in seconds."""


def token() -> str:
    """A valid token."""
    return create_token("ann", SETTINGS)


async def next_data(client: ClientConnection, kind: str) -> Any:
    """The data of the next frame of this type of a JSON WebSocket. Other frames are dropped."""
    async with asyncio.timeout(PATIENCE):
        while (frame := json.loads(await client.recv()))["type"] != kind:
            pass
    return frame["data"]


class DeployedClients:
    """Clients of npm with each transport, and a JSON WebSocket."""

    def __init__(self, http: httpx.AsyncClient, sockets: list[NodeClient], news: ClientConnection) -> None:
        self.http = http
        """For requests to the host."""
        self.sockets = sockets
        self.news = news

    async def check(self, number: Json) -> None:
        """Each Socket.IO client gets an acknowledgement, and each client a broadcast."""
        for socket in self.sockets:
            assert await socket.call("echo", "hello", number, timeout=PATIENCE) == ["hello", number]
        assert (await self.http.post("/broadcast", json=number)).status_code == 204
        for socket in self.sockets:
            assert (await socket.expect("news", timeout=PATIENCE)).args == [number]
        assert await next_data(self.news, "news") == number


@contextlib.asynccontextmanager
async def deployed_clients(url: str, node: Node, **options: Json) -> AsyncIterator[DeployedClients]:
    """Connect clients to the app at an address. `options` are those of npm's clients."""
    async with (
        httpx.AsyncClient(base_url=url, timeout=PATIENCE) as http,
        connect(f"{url.replace('http', 'ws', 1)}/news?token={token()}") as news,
    ):
        sockets = [
            await node.connect(url, auth={"token": token()}, transports=transports, **options)
            for transports in TRANSPORTS
        ]
        await sockets[-1].upgraded()
        assert [socket.transport for socket in sockets] == ["polling", "websocket", "websocket"]
        yield DeployedClients(http, sockets, news)
        for socket in sockets:
            await socket.disconnect()
