"""Chat and Jobs on several nodes: the host on one of them, and clients of both kinds on the others."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from asgi_realtime import Settings, create_token
from tests.support.chat_app import Service
from tests.support.cluster import SECRET, Cluster, Node
from tests.support.json_client import Frame, JSONClient, JSONClients
from tests.support.json_systems_app import CHAT, JOBS, MANY_DEVICES, SHARED_TOKEN

GATEWAYS = (CHAT, MANY_DEVICES, JOBS)
_END = "end of the events "
"""The event that marks the end has this name and a number."""


def token_of(user_id: str, **options: Any) -> str:
    return create_token(user_id, Settings(jwt_secret=SECRET), **options)


class JSONNodes:
    """Three nodes, and the database that they share."""

    def __init__(self, cluster: Cluster, nodes: list[Node], service: Service) -> None:
        self.cluster = cluster
        self.nodes = nodes
        self.service = service


class JSONSystems:
    """Clients on the first two nodes, and the host on the third one."""

    _numbers = itertools.count(1)

    def __init__(self, nodes: JSONNodes, clients: JSONClients) -> None:
        self.cluster = nodes.cluster
        self.nodes = nodes.nodes
        self.service = nodes.service
        self.clients = clients

    async def call(self, method: str, *arguments: Any, on: int = 2, **options: Any) -> Any:
        """Call a method of a broadcaster on a node; see `tests.support.json_systems_app`."""
        return await self.nodes[on].call(method, *arguments, **options)

    async def open(self, node: int, path: str) -> JSONClient:
        """Open a WebSocket: with Python on node 0, with Node.js on the others."""
        url = self.nodes[node].url.replace("http", "ws") + path
        return await (self.clients.python(url) if node == 0 else self.clients.node(url))

    async def enter(
        self, user_id: str, node: int, path: str = CHAT, *, token: str | None = None, take_over: bool = True
    ) -> JSONClient:
        """Log in to Chat. On node 0 the token is in a frame, on the others in the query.

        `take_over`: whether to wait until the connection has taken over from the user's older ones.
        """
        token = token or token_of(user_id)
        client = await self.open(node, path if node == 0 else f"{path}?token={token}")
        if node == 0:
            await client.send("auth", {"token": token})
        assert (await client.expect("auth_success"))["userId"] == user_id
        if take_over:
            await client.send("read", {})  # refused after the connection has taken over, as its events wait for that
            error = await client.take(lambda frame: frame["type"] == "error")
            client.frames.remove(error)
        return client

    async def follow(self, user_id: str, node: int, *jobs: str, token: str | None = None) -> JSONClient:
        """Connect to Jobs, and join these jobs. With the package's own client on all nodes except node 0."""
        token = token or token_of(user_id)
        if node == 0:
            client = await self.open(node, f"{JOBS}?token={token}")
        else:
            client = await self.clients.follower(self.nodes[node].url + JOBS, token)
        established = await client.expect("connection_established")
        assert established["heartbeatInterval"] == 30_000
        for job in jobs:
            await client.send("join_job", jobId=job)
        return client

    async def handled(self, *clients: JSONClient) -> None:
        """Wait until everything that these clients of Jobs have sent is handled."""
        for client in clients:
            await client.send("join_job", jobId="over")
            await client.take(lambda frame: frame["type"] == "job_status" and frame["data"]["jobId"] == "over")
            await client.send("leave_job", jobId="over")

    async def taken(self, *clients: JSONClient) -> list[list[Frame]]:
        """The frames of each client that were not taken yet. All that was published before this call has arrived."""
        end = f"{_END}{next(self._numbers)}"
        for gateway in GATEWAYS:
            await self.call("broadcast_to_all", end, gateway=gateway)
        taken = [await client.before(end) for client in clients]
        return [[frame for frame in frames if not frame["type"].startswith(_END)] for frames in taken]


@asynccontextmanager
async def json_nodes(folder: Path, redis_url: str, **environ: str) -> AsyncIterator[JSONNodes]:
    """Start the three nodes. `environ` has further variables of theirs."""
    database = folder / "chat.db"
    service = Service(database)
    async with Cluster(folder, redis_url, "tests.support.json_systems_app") as cluster:
        variables = {"DATABASE": str(database), "MEW_PRESENCE_GRACE": "0.1", "WS_AUTH_TOKEN": SHARED_TOKEN} | environ
        nodes = await asyncio.gather(*[cluster.start(**variables) for _ in range(3)])
        yield JSONNodes(cluster, nodes, service)
