"""Starting a service once, on one event loop at a time, and stopping it."""

from __future__ import annotations

import asyncio
import logging
from asyncio import _get_running_loop
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TypeAlias

from asgi_realtime.errors import ConfigurationError
from asgi_realtime.runtime.new_task import new_task

logger = logging.getLogger("asgi_realtime")

StartParts: TypeAlias = Callable[[AsyncExitStack], Awaitable[None]]
"""Starts each part of a service on the running event loop, and registers on the stack what undoes it."""


class OtherLoop(ConfigurationError):
    """The app serves on another event loop, which is still running."""

    def __init__(self) -> None:
        super().__init__(
            "this app serves on another event loop, which is still running, and a RealtimeMiddleware serves only one; "
            "in tests write `with TestClient(app) as client`, elsewhere make an app for each loop"
        )


class Lifecycle:
    """Starts a service once, however many callers start it at the same time, and stops it.

    If a start fails, or every caller is cancelled, the parts that have started are stopped in reverse order. All
    callers that waited for it get the same error. The service may start again after that, after `stop`, and after
    an event loop that ended without a `stop`: nothing of that loop is touched.

    Each lifespan of an app holds the service, because several servers may serve one app on one event loop.
    """

    def __init__(self, start_parts: StartParts) -> None:
        self._start_parts = start_parts
        self.loop: asyncio.AbstractEventLoop | None = None
        """The event loop the service runs on. None: it has not started, or has stopped."""
        self.stopping: asyncio.AbstractEventLoop | None = None
        """The event loop on which `stop` is running. None: it is not running."""
        self.holders = 0
        """How many callers of `hold` keep the service running on `loop`."""
        self._owner: asyncio.AbstractEventLoop | None = None  # from the beginning of a start to the end of the stop
        self._stack = AsyncExitStack()
        self._start: _Start | None = None
        self._stopped: asyncio.Future[None] | None = None

    async def start(self) -> None:
        """Start on the running event loop, or wait for the start that is running there. Does nothing if it has started.

        The start runs as a task of its own. If a caller is cancelled, the others still wait for the start. If the
        last one is cancelled, the start is cancelled too, and the call returns when everything is undone.

        Raises:
            OtherLoop: if the service runs on another event loop.
            ConfigurationError: if no asyncio event loop is running.
            BaseException: what a part raised.
        """
        here = _get_running_loop()
        if here is None:
            raise ConfigurationError(
                "asgi_realtime runs on asyncio, not on trio; start the server, or the test client, with asyncio"
            )
        while self.loop is not here:
            if self._owner is not here:
                if self._owner is not None and self._owner.is_running():
                    raise OtherLoop
                self._owner = here
                self.loop = self.stopping = self._stopped = None
                self.holders = 0
                self._start = _Start(self._start_parts, self._start_ended)
            if self._stopped is not None:
                await asyncio.wait([self._stopped])
            elif self._start is not None:
                await self._start.wait()

    async def stop(self) -> None:
        """Undo the start. Does nothing on another event loop, or if the service has not started.

        Every part is stopped, also if one raises, or if the caller is cancelled.
        """
        here = asyncio.get_running_loop()
        if self.stopping is here and self._stopped is not None:
            await asyncio.wait([self._stopped])
        if self.loop is not here:
            return
        self.loop, self.stopping = None, here
        self.holders = 0
        self._stopped = stopped = here.create_future()
        try:
            await self._stack.aclose()
        finally:
            stopped.set_result(None)
            if self._stopped is stopped:  # else another loop has taken over
                self._owner = self.stopping = self._stopped = None

    async def hold(self) -> None:
        """Start, and keep the service running until `release`. Raises as `start` does.

        A caller that is cancelled does not hold it. If it has just started for this caller alone, it is stopped.
        """
        try:
            await self.start()
        except asyncio.CancelledError:
            if not self.holders:
                await self.stop()  # where the cancellation came when it had just started
            raise
        self.holders += 1

    async def release(self) -> None:
        """End a `hold`. The last one stops the service, as `stop` does."""
        if self.loop is asyncio.get_running_loop():
            self.holders -= 1
        if self.holders <= 0:
            await self.stop()

    def _start_ended(self, start: _Start) -> None:
        if self._start is start:  # else another loop has taken over
            self._start = None
            if start.stack is None:
                self._owner = None
            else:
                self._stack, self.loop = start.stack, self._owner


class _Start:
    """One start, in a task of its own, and the callers that wait for it."""

    def __init__(self, start_parts: StartParts, ended: Callable[[_Start], None]) -> None:
        self.stack: AsyncExitStack | None = None
        """What undoes the start. None: it has not ended, or has failed."""
        self._callers = 0
        self._task = new_task(self._run(start_parts), name="start")
        self._task.add_done_callback(lambda _: ended(self))  # before the callers continue

    async def wait(self) -> None:
        """Wait until it has ended.

        Raises:
            BaseException: what a part raised. Not if all earlier callers were cancelled. Then the caller starts again.
        """
        if self._task.cancelling():
            await asyncio.wait([self._task])
            return
        self._callers += 1
        try:
            await asyncio.wait([self._task])
        finally:
            self._callers -= 1
            if not self._callers and not self._task.done():
                self._task.cancel()
                await asyncio.wait([self._task])
        error = self._task.result()
        if error is not None:
            raise error

    async def _run(self, start_parts: StartParts) -> BaseException | None:
        stack = AsyncExitStack()
        try:
            await start_parts(stack)
        except BaseException as error:
            try:
                await stack.aclose()
            except Exception:
                logger.exception("a part that had started could not be stopped")
            if isinstance(error, KeyboardInterrupt | GeneratorExit):
                raise
            return error  # not raised: a SystemExit that ends a task ends the event loop
        self.stack = stack
        return None
