"""Calls from threads to the event loop that the gateways run on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from asgi_realtime.runtime.lent_thread import LentThread

T = TypeVar("T")

_NOT_RUNNING = (
    "the gateway is not running: calls from threads work between start-up and shutdown. "
    "In tests write `with TestClient(app) as client`, which starts the app"
)
_ON_THE_LOOP = (
    "a method for threads was called on the event loop's own thread; await the method of the async class instead"
)
ELSEWHERE = (
    "this was called on another thread or event loop than the one that serves the clients; "
    "from there call the same method of broadcaster.sync, without await"
)
_LOOP_ENDED = (
    "the event loop that served this app has ended, and the app has not been started on this one. "
    "In tests write `with TestClient(app) as client`, or use asgi_realtime.testing.RealtimeTestClient"
)
_LOOK_SECONDS = 1.0
"""How often a thread that waits looks whether the event loop has been closed without a stop."""


class LoopBridge:
    """Runs coroutines on the loop for threads that wait; lets those threads go when the loop is given up."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread: int | None = None
        """The thread that `bind` was called in, which is the loop's. None: there is no loop."""
        self._lock = threading.Lock()
        self._waited_for: set[concurrent.futures.Future[Any]] = set()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take calls for this loop from now on: the one that is running in this thread."""
        with self._lock:
            self._loop = loop
            self.thread = threading.get_ident()

    def unbind(self) -> None:
        """Take no more calls, and let go the threads that wait in one."""
        with self._lock:
            self._loop = self.thread = None
            waited_for = tuple(self._waited_for)
        for future in waited_for:
            future.cancel()

    @property
    def running(self) -> bool:
        """Whether there is a loop, and it runs."""
        return self._loop is not None and self._loop.is_running()

    def check(self) -> None:
        """Refuse a coroutine that is awaited elsewhere than on the loop. Without a loop there is nothing to refuse.

        Raises:
            RuntimeError: on another thread or event loop.
        """
        # Two loops that run are in two threads, and to ask for the thread costs less than to ask for the loop.
        loop = self._loop
        if loop is not None and not (self.thread == threading.get_ident() and loop.is_running()):
            raise RuntimeError(ELSEWHERE if loop.is_running() else _LOOP_ENDED)

    def run(self, work: Coroutine[Any, Any, T], lent: LentThread | None = None) -> T:
        """Run a coroutine on the loop, and wait for its result. While it waits, this thread serves as `lent`.

        Raises:
            RuntimeError: from the loop's own thread, before `bind`, after `unbind`, or if the loop closes first.
        """
        # A loop that is stopping may never come to a call that it has taken: `unbind` lets the thread go.
        with self._lock:
            loop = self._loop
            here = self.thread == threading.get_ident()
            if loop is None or not loop.is_running() or here:
                work.close()
                raise RuntimeError(_ON_THE_LOOP if loop is not None and loop.is_running() and here else _NOT_RUNNING)
            future = asyncio.run_coroutine_threadsafe(work, loop)
            self._waited_for.add(future)
        try:
            while True:
                if lent is None:
                    concurrent.futures.wait([future], _LOOK_SECONDS)
                else:
                    lent.serve(future, _LOOK_SECONDS)
                if future.done():
                    return future.result()
                if loop.is_closed():
                    raise concurrent.futures.CancelledError
        except concurrent.futures.CancelledError:
            raise RuntimeError("the gateway stopped before the call was done") from None
        finally:
            with self._lock:
                self._waited_for.discard(future)
