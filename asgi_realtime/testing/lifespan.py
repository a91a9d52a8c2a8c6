"""Starts and stops an application as a server does."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.types import ASGIApp, Message

from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.runtime.tasks import contained


class LifespanRunner:
    """Runs an application's lifespan in a task of its own. `state` is what it shares with requests."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._requests: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None
        self.state: dict[str, Any] = {}

    async def start(self) -> None:
        """Start the application.

        Raises:
            Exception: what the application raised.
            RuntimeError: it reported a failure, but raised nothing.
        """
        self._task = new_task(self._run(), name="lifespan of the application under test")
        await self._ask("lifespan.startup")

    async def stop(self) -> None:
        """Stop the application. Raises as `start` does."""
        if self._task is not None and not self._task.done():
            await self._ask("lifespan.shutdown")
            await self._task

    async def _run(self) -> None:
        scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": self.state}
        try:
            await contained(self._app(scope, self._requests.get, self._answers.put))
        finally:
            await self._answers.put({"type": "ended"})

    async def _ask(self, what: str) -> None:
        assert self._task is not None
        await self._requests.put({"type": what})
        answer = await self._answers.get()
        if answer["type"] == f"{what}.complete":
            return
        # It failed, or it ended without an answer, because it has no lifespan.
        await self._task
        if answer["type"] == f"{what}.failed":
            raise RuntimeError(f"{what} failed: {answer.get('message', '')}")
