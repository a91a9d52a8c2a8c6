"""The Mew example on three nodes: one runs the host's routes, the clients are on the two others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx

from tests.support.cluster import Cluster
from tests.support.cluster import Node as ServerNode
from tests.support.mew_app import SETTINGS, Mew, Person
from tests.support.node_client import Node, node_process
from tests.support.stock_client import ClientServer

CONNECTIONS_PER_USER = 4
"""The limit of the nodes."""


class MewNodes(Mew):
    """Alice and Carol use npm's client on the second node; Bob and Dave use python-socketio's on the third."""

    def __init__(self, nodes: list[ServerNode], http: httpx.AsyncClient, node: Node) -> None:
        self.host, self.second, self.third = nodes
        """Its broadcaster is called; it serves no clients."""
        self._of_clients = (
            ClientServer(self.second.url, "node-websocket", node),
            ClientServer(self.third.url, "python-websocket"),
        )
        self.node = node
        """The Node process of npm's clients."""
        super().__init__(http, *self._of_clients)

    def tabs(self, user_id: str) -> tuple[Person, Person]:
        """A user on the second node, and the same user on the third."""
        second, third = (self.person(user_id, server) for server in self._of_clients)
        return second, third


@asynccontextmanager
async def mew_nodes(folder: Path, redis_url: str) -> AsyncIterator[MewNodes]:
    """Run the nodes until the block ends. No node may have printed a traceback."""
    assert SETTINGS.jwt_secret and SETTINGS.admin_secret
    environ = {
        "DATABASE_URL": f"sqlite:///{folder}/mew.db",
        "MEW_JWT_SECRET": SETTINGS.jwt_secret,
        "MEW_ADMIN_SECRET": SETTINGS.admin_secret,
        "MEW_PRESENCE_GRACE": "0",
        "MEW_CONNECTIONS_PER_USER": str(CONNECTIONS_PER_USER),
    }
    async with Cluster(folder, redis_url, "tests.support.mew_app") as cluster, node_process() as node:
        first = await cluster.start(**environ)  # it fills the database
        nodes = [first, *await asyncio.gather(cluster.start(**environ), cluster.start(**environ))]
        async with httpx.AsyncClient(base_url=first.url) as http:
            mew = MewNodes(nodes, http, node)
            yield mew
            await mew.disconnect_all()
        for each in nodes:
            assert "Traceback" not in each.process.output, each.process.output
