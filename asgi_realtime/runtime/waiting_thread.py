"""A thread that waits for a call to the event loop, and runs functions for that call while it waits."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class WaitingThread(concurrent.futures.Executor):
    """Runs submitted functions in the thread that calls `wait`.

    The plain callbacks of a plain handler (`connection.join(allowed=...)`) run in the handler's own thread. If they
    took another of `MEW_HOST_THREADS`, and every thread waited for another one, none would ever be free.
    """

    def __init__(self) -> None:
        self._submitted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        """Have the thread call a function. After the end of the wait it never does."""
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
        """End the `wait` that is under way, or the next one. Called in any thread."""
        self._submitted.put(None)

    def wait(self, seconds: float) -> None:
        """Run what is submitted until `wake` is called, but not longer than this."""
        try:
            while (call := self._submitted.get(timeout=seconds)) is not None:
                call()
        except Empty:
            pass
