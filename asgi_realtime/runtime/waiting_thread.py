"""Lets a thread that waits for the event loop run functions for it during the wait."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WaitingThread(concurrent.futures.Executor):
    """Runs submitted functions in the thread that calls `wait`.

    The plain callbacks of a plain handler (`connection.join(allowed=...)`) run in the handler's own thread. If each
    needed a second thread of `MEW_HOST_THREADS`, all threads could wait for a free one: a deadlock.
    """

    def __init__(self) -> None:
        self._submitted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        """Let the waiting thread call a function. After the end of the wait the function is not called."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        self._submitted.put(call)
        return future

    def wake(self, _: object) -> None:
        """End the current `wait`, or the next one. May be called in any thread."""
        self._submitted.put(None)

    def wait(self, seconds: float) -> None:
        """Run submitted functions until `wake` is called. Returns when none came for `seconds`, too."""
        try:
            while (call := self._submitted.get(timeout=seconds)) is not None:
                call()
        except Empty:
            pass
