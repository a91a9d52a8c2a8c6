"""Several server processes of one app, joined by a Redis."""

from __future__ import annotations

import json
import secrets
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from asgi_realtime import Settings, create_token
from tests.support.python_client import PythonClient
from tests.support.target_process import Process, target_process

SECRET = "a secret for clusters that is long enough"


class Node:
    """One server process."""

    def __init__(self, process: Process, http: httpx.AsyncClient) -> None:
        self.process = process
        self.url = process.server.url
        self._http = http

    async def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call a method of the node's broadcaster. Returns its result as JSON."""
        return await self.call_at("/call", method, *arguments, **options)

    async def call_at(self, path: str, method: str, *arguments: Any, **options: Any) -> Any:
        """The same for the object behind another route."""
        body = {"method": method, "arguments": arguments, "options": options}
        response = await self._http.post(f"{self.url}{path}", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    async def connect(self, user_id: str, namespace: str = "/", *, token: str | None = None) -> PythonClient:
        """Connect a stock client to this node."""
        client = PythonClient()
        auth = {"token": token or create_token(user_id, Settings(jwt_secret=SECRET))}
        await client.connect(self.url, namespace, auth=auth, transports=["websocket"])
        return client


class Cluster:
    """The nodes of one app. All end when the block ends."""

    def __init__(self, folder: Path, redis_url: str, module: str = "tests.support.cluster_app") -> None:
        self.redis_url = redis_url
        self.prefix = f"test-{secrets.token_hex(4)}"
        self._folder = folder
        self._module = module
        self._stack = AsyncExitStack()
        self._nodes = 0

    def set_rooms(self, rooms: dict[str, dict[str, str | None]]) -> None:
        """Set the rooms of each user, with their parents. `refresh_rooms` reads them again."""
        (self._folder / "rooms.json").write_text(json.dumps(rooms))

    @property
    def environ(self) -> dict[str, str]:
        """The environment variables of each node."""
        return {
            "MEW_REDIS_URL": self.redis_url,
            "MEW_REDIS_PREFIX": self.prefix,
            "MEW_JWT_SECRET": SECRET,
            "ROOMS": str(self._folder / "rooms.json"),
        }

    async def start(self, **environ: str) -> Node:
        """Start one more node."""
        self._nodes += 1
        folder = self._folder / f"node{self._nodes}"
        folder.mkdir()
        process = await self._stack.enter_async_context(
            target_process(folder, module=self._module, environ=self.environ | environ)
        )
        http = await self._stack.enter_async_context(httpx.AsyncClient())
        return Node(process, http)

    async def __aenter__(self) -> Cluster:
        self.set_rooms({})
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._stack.aclose()
