"""Calls from threads to the event loop that the gateways run on."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.runtime.tasks import contained
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


class _Call(Generic[T]):
    """A coroutine that a thread waits for. It becomes a task of the loop.

    `asyncio.run_coroutine_threadsafe` does the same with two futures, their callbacks and a lock for each call.
    """

    __slots__ = ("_ended", "_wake", "_work", "task")

    def __init__(self, work: Coroutine[Any, Any, T], wake: Callable[[object], None]) -> None:
        self._work = work
        self._wake = wake
        self._ended = False
        self.task: asyncio.Task[T] | None = None
        """None: it has not begun."""

    @property
    def ended(self) -> bool:
        """Whether it is done, or was given up."""
        return self._ended

    def start(self) -> None:
        """Begin. Called by the loop."""
        if self._ended:
            self._work.close()
            return
        self.task = new_task(contained(self._work))
        self.task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # avoids asyncio's warning if the thread waits no longer
        self._work.close()  # if the task was cancelled before its first step
        self._ended = True
        self._wake(task)

    def give_up(self) -> None:
        """End it: the application stops. Called on the loop's thread."""
        self._ended = True
        if self.task is not None:
            self.task.cancel()
        self._wake(None)

    def result(self) -> T:
        """What the coroutine returned or raised.

        Raises:
            RuntimeError: it was given up, or the loop was closed.
        """
        if self.task is None or not self.task.done() or self.task.cancelled():
            raise RuntimeError("the gateway stopped before the call was done")
        return self.task.result()


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
        self._calls: set[_Call[Any]] = set()

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
            calls = tuple(self._calls)
        for call in calls:
            call.give_up()

    @property
    def running(self) -> bool:
        """Whether a loop is bound and running in this process."""
        return self._loop is not None and self._loop.is_running() and not self.forked

    @property
    def forked(self) -> bool:
        """Whether this process was forked since `bind`. It has no such loop then, though `is_running` is True."""
        return self._process not in (None, os.getpid())

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
        if self.forked:  # before the lock: a thread of the other process may have it
            work.close()
            raise RuntimeError(_FORKED)
        waiting = WaitingThread() if thread is None else thread
        call = _Call(work, waiting.wake)
        with self._lock:
            loop = self._submit(work, call)
            self._calls.add(call)
        try:
            while not call.ended and not loop.is_closed():
                waiting.wait(_LOOK_SECONDS)
            # A loop that is stopping may never run a call that was submitted. `unbind` gives it up.
            return call.result()
        finally:
            with self._lock:
                self._calls.discard(call)

    def _submit(self, work: Coroutine[Any, Any, T], call: _Call[T]) -> asyncio.AbstractEventLoop:
        loop = self._loop
        if loop is None or not loop.is_running():
            error = _NOT_RUNNING
        elif self.thread == threading.get_ident():
            error = _ON_THE_LOOP
        else:
            try:
                loop.call_soon_threadsafe(call.start)
                return loop
            except RuntimeError:  # the loop was closed after the check above
                error = _NOT_RUNNING
        work.close()
        raise RuntimeError(error)
