"""Calls from threads to the event loop that the gateways run on."""

from __future__ import annotations

import asyncio
import concurrent.futures
import os
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from asgi_realtime.runtime.waiting_thread import WaitingThread

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
_FORKED = (
    "this process was forked from the one whose event loop does the work, and has no such loop; "
    "start the app, or connect the broadcaster, after the fork, in each process"
)
_LOOP_ENDED = (
    "the event loop that served this app has ended, and the app has not been started on this one. "
    "In tests write `with TestClient(app) as client`, or use asgi_realtime.testing.RealtimeTestClient"
)
_LOOK_SECONDS = 1.0
"""How often a waiting thread checks whether the event loop was closed without `unbind`."""


class LoopBridge:
    """Runs a coroutine on the event loop while the calling thread waits. All calls from threads use it.

    A call is refused on the loop's own thread, where it would deadlock, before start-up, and after shutdown. Shutdown
    also ends the calls that are waiting.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread: int | None = None
        """The id of the event loop's thread, in which `bind` was called. None: no loop is bound."""
        self._process: int | None = None
        self._lock = threading.Lock()
        self._waited_for: set[concurrent.futures.Future[Any]] = set()

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Accept calls for this loop, which runs in the current thread."""
        with self._lock:
            self._loop = loop
            self.thread = threading.get_ident()
            self._process = os.getpid()

    def unbind(self) -> None:
        """Refuse calls from now on, and end those that are waiting."""
        with self._lock:
            self._loop = self.thread = None
            waited_for = tuple(self._waited_for)
        for future in waited_for:
            future.cancel()

    @property
    def running(self) -> bool:
        """Whether a loop is bound and running."""
        return self._loop is not None and self._loop.is_running()

    def check(self) -> None:
        """Raise if the caller is not on the bound loop. Does nothing if no loop is bound.

        Raises:
            RuntimeError: on another thread or event loop.
        """
        # Two running loops are in two threads. Getting the thread's id costs less than getting the running loop.
        loop = self._loop
        if loop is not None and not (self.thread == threading.get_ident() and loop.is_running()):
            raise RuntimeError(ELSEWHERE if loop.is_running() else _LOOP_ENDED)

    def run(self, work: Coroutine[Any, Any, T], thread: WaitingThread | None = None) -> T:
        """Run a coroutine on the loop, wait for it, and return its result.

        `thread` runs, in the calling thread, functions that the coroutine submits to it.

        Raises:
            RuntimeError: on the loop's own thread, before `bind`, after `unbind`, if the loop closes first, or in a
                process that was forked since `bind`.
        """
        if self._process not in (None, os.getpid()):  # before the lock: a thread of the other process may have it
            work.close()
            raise RuntimeError(_FORKED)
        waiting = WaitingThread() if thread is None else thread
        with self._lock:
            loop, future = self._submit(work)
            self._waited_for.add(future)
        future.add_done_callback(waiting.wake)
        try:
            while not future.done() and not loop.is_closed():
                waiting.wait(_LOOK_SECONDS)
            # A loop that is stopping may never run a call that was submitted. `unbind` cancels its future.
            if not future.done() or future.cancelled():
                raise RuntimeError("the gateway stopped before the call was done")
            return future.result()
        finally:
            with self._lock:
                self._waited_for.discard(future)

    def _submit(self, work: Coroutine[Any, Any, T]) -> tuple[asyncio.AbstractEventLoop, concurrent.futures.Future[T]]:
        loop = self._loop
        if loop is None or not loop.is_running():
            error = _NOT_RUNNING
        elif self.thread == threading.get_ident():
            error = _ON_THE_LOOP
        else:
            try:
                return loop, asyncio.run_coroutine_threadsafe(work, loop)
            except RuntimeError:  # the loop was closed after the check above
                error = _NOT_RUNNING
        work.close()
        raise RuntimeError(error)
