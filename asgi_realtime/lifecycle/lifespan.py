"""Wraps the host's lifespan: the gateways start before the host, and stop after it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_realtime.runtime.failed_start import FailedStart
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.runtime.tasks import ends_this_task

_LAST_SECONDS = 1.0
"""Seconds a host's lifespan may continue after its last answer."""


class Lifespan:
    """Runs one lifespan scope.

    A host without a lifespan (a bare callable, a WSGI adapter) works too. If the host's start-up fails, the gateways
    are stopped, and the host's message is passed on.
    """

    def __init__(
        self, app: ASGIApp, *, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
    ) -> None:
        self._app = app
        self._start = start
        self._stop = stop
        self._events: asyncio.Queue[Message] = asyncio.Queue()
        self._answers: asyncio.Queue[Message] = asyncio.Queue()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve the scope to its end."""
        startup = await receive()
        failed: FailedStart | None = None
        try:
            await self._start()
        except BaseException as error:
            if not ends_start(error):
                await self._stop()  # where the cancellation came when it had just started
                raise
            failed = FailedStart(error)
        if failed is not None:
            # Outside of `except`, so that what the server raises in `send` is not chained to the error.
            await failed.report(send)
            return
        host = new_task(self._run(scope), name="lifespan of the host")
        try:
            answer = await self._ask(host, startup)
            if answer is not None and answer["type"] == "lifespan.startup.failed":
                await self._stop()
                await send(answer)
                await _end_of(host)
                return
            await send({"type": "lifespan.startup.complete"})
            shutdown = await receive()
            answer = None if answer is None else await self._ask(host, shutdown)
            await self._stop()
            await send(answer or {"type": "lifespan.shutdown.complete"})
            if answer is not None:
                await _end_of(host)
        finally:
            if not host.done():
                host.cancel()
            await asyncio.gather(host, return_exceptions=True)

    async def _run(self, scope: Scope) -> None:
        await self._app(scope, self._events.get, self._answers.put)

    async def _ask(self, host: asyncio.Task[None], event: Message) -> Message | None:
        """Send the host an event and wait for its answer. None: it has no lifespan, or has ended without an answer."""
        self._events.put_nowait(event)
        answer = new_task(self._answers.get(), name="answer of the host")
        await asyncio.wait({host, answer}, return_when=asyncio.FIRST_COMPLETED)
        if answer.done() or not self._answers.empty():
            return await answer
        answer.cancel()
        return None


async def _end_of(host: asyncio.Task[None]) -> None:
    """Wait until a host that has given its last answer ends. Raises what it raises, which test clients expect."""
    if not host.done():  # else without a pause, in which some servers cancel this task
        await asyncio.wait({host}, timeout=_LAST_SECONDS)
    if host.done():
        host.result()


def ends_start(error: BaseException) -> bool:
    """Whether an error of `on_start` ends the start-up: all but those that end this task or the process.

    `sys.exit()` in a hook does too: servers treat a SystemExit as a missing lifespan, and continue.
    """
    if isinstance(error, Exception):
        return True
    return not isinstance(error, KeyboardInterrupt | GeneratorExit) and not ends_this_task(error)
