"""Calls from threads to the event loop that the gateways run on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

_NOT_RUNNING = "the gateway is not running: the sync broadcaster works between start-up and shutdown"
_ON_THE_LOOP = "the sync broadcaster was called on the event loop's own thread; await the async method instead"


class LoopCalls:
    """Runs coroutines on the loop for threads that wait; lets those threads go when the loop is given up."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._lock = threading.Lock()
        self._waited_for: set[concurrent.futures.Future[Any]] = set()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take calls for this loop from now on."""
        self._loop = loop

    def unbind(self) -> None:
        """Take no more calls, and let go the threads that wait in one."""
        with self._lock:
            self._loop = None
            waited_for = tuple(self._waited_for)
        for future in waited_for:
            future.cancel()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop, and wait for its result.

        Raises:
            RuntimeError: from the loop's own thread, before `bind`, or after `unbind`.
        """
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        # A loop that is stopping may never come to a call that it has taken: `unbind` lets the thread go.
        with self._lock:
            loop = self._loop
            if loop is None or not loop.is_running() or here is loop:
                work.close()
                raise RuntimeError(_ON_THE_LOOP if loop is not None and here is loop else _NOT_RUNNING)
            future = asyncio.run_coroutine_threadsafe(work, loop)
            self._waited_for.add(future)
        try:
            return future.result()
        except concurrent.futures.CancelledError:
            raise RuntimeError("the gateway stopped before the sync broadcaster was done") from None
        finally:
            with self._lock:
                self._waited_for.discard(future)
