"""Wraps the host's lifespan: the gateways start before the host, and stop after it."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from asgi_realtime.runtime.failed_start import FailedStart
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.runtime.tasks import ends_this_task

_LAST_SECONDS = 1.0
"""Seconds a host's lifespan may continue after its last answer."""

_Host: TypeAlias = asyncio.Task[BaseException | None]
"""The lifespan of the host. See `Lifespan._run`."""


class Lifespan:
    """Runs one lifespan scope.

    A host without a lifespan (a bare callable, a WSGI adapter) works too. If the host's start-up fails, the gateways
    are stopped, and the host's message is passed on. If its lifespan ends with `sys.exit()` and without a message, the
    server gets the traceback. However the scope ends, `stop` is called once after a `start` that returned, and not
    after one that raised.
    """

    def __init__(
        self, app: ASGIApp, *, start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]]
    ) -> None:
        self._app = app
        self._start = start
        self._stop = stop
        self._started = False
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
                raise
            failed = FailedStart(error)
        if failed is not None:
            # Outside of `except`, so that what the server raises in `send` is not chained to the error.
            await failed.report(send)
            return
        self._started = True
        host = new_task(self._run(scope), name="lifespan of the host")
        try:
            await self._serve(host, startup, receive, send)
        finally:
            try:
                host.cancel()
                await asyncio.gather(host, return_exceptions=True)
            finally:
                await self._stop_once()

    async def _serve(self, host: _Host, startup: Message, receive: Receive, send: Send) -> None:
        """Pass the server's events on to the host, and its answers to the server."""
        answer = await self._ask(host, startup)
        if answer is not None and answer["type"] == "lifespan.startup.failed":
            await self._stop_once()
            await send(answer)
            await _end_of(host)
            return
        await send({"type": "lifespan.startup.complete"})
        shutdown = await receive()
        answer = None if answer is None else await self._ask(host, shutdown)
        await self._stop_once()
        await send(answer or {"type": "lifespan.shutdown.complete"})
        if answer is not None:
            await _end_of(host)

    async def _stop_once(self) -> None:
        if self._started:
            self._started = False
            await self._stop()

    async def _run(self, scope: Scope) -> BaseException | None:
        """Run the host's lifespan. Returns a `SystemExit`: raised by a task, it would end the event loop.

        A `CancelledError` of the host's own is returned too.
        """
        try:
            await self._app(scope, self._events.get, self._answers.put)
        except (SystemExit, asyncio.CancelledError) as error:
            if ends_this_task(error):
                raise
            return error
        return None

    async def _ask(self, host: _Host, event: Message) -> Message | None:
        """Send the host an event and wait for its answer. None: it has no lifespan, or has ended without an answer."""
        self._events.put_nowait(event)
        answer = new_task(self._answers.get(), name="answer of the host")
        try:
            await asyncio.wait({host, answer}, return_when=asyncio.FIRST_COMPLETED)
            if answer.done() or not self._answers.empty():
                return await answer
        finally:
            answer.cancel()
        error = _exit_of(host)
        if error is None:
            return None
        return {"type": f"{event['type']}.failed", "message": "".join(traceback.format_exception(error))}


def _exit_of(host: _Host) -> BaseException | None:
    """What `Lifespan._run` has returned. None: nothing, or it has not ended, or was cancelled, or has failed."""
    ended = host.done() and not host.cancelled() and host.exception() is None
    return host.result() if ended else None


async def _end_of(host: _Host) -> None:
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
