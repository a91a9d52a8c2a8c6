"""Timeouts of a test's clients. They pass in real time, also while a `Clock` stands still."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asgi_realtime.testing.clock import stands_still


@asynccontextmanager
async def real_timeout(seconds: float) -> AsyncIterator[None]:
    """Like `asyncio.timeout`.

    Raises:
        TimeoutError: the block took longer than `seconds`.
    """
    if not stands_still():
        async with asyncio.timeout(seconds):
            yield
        return
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as deadline:

        def expire() -> None:
            if not deadline.expired() and not done:
                deadline.reschedule(loop.time())

        def wake() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(expire)

        done = False
        # A thread, because every timer of the loop stands still.
        timer = threading.Timer(seconds, wake)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            done = True
            timer.cancel()


def within(seconds: float) -> str:
    """How a failure says that something did not happen in time."""
    return f"within {seconds} s{_hint()}"


def after(seconds: float) -> str:
    """How a failure says that something has not ended in time."""
    return f"after {seconds} s{_hint()}"


def _hint() -> str:
    return "; the clock stands still: timers run in `await clock.advance(seconds)`" if stands_still() else ""
