"""A task in whose name work is begun outside of it, and that goes on with it once it has to wait."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import types
from collections.abc import Coroutine, Generator
from typing import Any


class StandbyTask:
    """A task that waits for work, and runs what it gets, once.

    Whoever begins the work before enters the task meanwhile (`asyncio._enter_task`, as "Extending asyncio" has it), so
    that `asyncio.current_task()` is the same before and after the first thing that is waited for. A cancellation that
    comes in between finds the work where it waits. Once cancelled, or its loop stopped, it is of no more use.
    """

    __slots__ = ("_wanted", "_work", "loop", "task")

    def __init__(self, name: str) -> None:
        self.loop = loop = asyncio.get_running_loop()
        self._wanted: asyncio.Future[None] = loop.create_future()
        self._work: Coroutine[Any, Any, None] | None = None
        run = self._run()
        run.send(None)  # a task that is cancelled before its first step would never come to the work
        # In a context of its own: whoever happens to be served now has no part in what comes.
        self.task = contextvars.Context().run(functools.partial(loop.create_task, run, name=name))

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have the task run this, soon. For the first and only time."""
        self._work = work
        if not self._wanted.done():
            self._wanted.set_result(None)

    async def _run(self) -> None:
        await self._hear()
        work, self._work = self._work, None
        assert work is not None
        await work

    async def _hear(self) -> None:
        """Wait for the work. What is cancelled before it comes is this task, and afterwards the work."""
        beginning = True
        while self._work is None or beginning:
            try:
                if beginning:
                    beginning = False
                    await _once()
                await self._wanted
            except asyncio.CancelledError as error:
                cancelled = self.task.cancelling()  # or the cancellation was taken back
                if self._work is None:
                    if cancelled:
                        raise
                    self._wanted = self.loop.create_future()
                elif cancelled:
                    # As with any task that is cancelled while it runs: what it waits for next is cancelled.
                    self.task.uncancel()
                    self.task.cancel(*error.args)


@types.coroutine
def _once() -> Generator[None, None, None]:
    yield
