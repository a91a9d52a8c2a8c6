"""A thread that waits for the event loop, and runs functions for it while it waits."""

from __future__ import annotations

import concurrent.futures
import contextlib
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


class LentThread(concurrent.futures.Executor):
    """Runs what is submitted in the thread that calls `serve`.

    A plain handler that asks a plain question needs no second thread of `MEW_HOST_THREADS` then: if every
    thread waited for another one, none would ever be free.
    """

    def __init__(self) -> None:
        self._serving = False
        self._submitted: SimpleQueue[Callable[[], None] | None] = SimpleQueue()

    def submit(self, function: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> concurrent.futures.Future[T]:
        """Have the thread call a function. It never does once that future is done."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def call() -> None:
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(function(*args, **kwargs))
                except BaseException as error:
                    future.set_exception(error)

        self._submitted.put(call)
        return future

    def serve(self, done: concurrent.futures.Future[Any], seconds: float) -> None:
        """Run what is submitted until this future is done, or for so long. To be called with one future alone."""
        if not self._serving:
            self._serving = True
            done.add_done_callback(lambda _: self._submitted.put(None))
        with contextlib.suppress(Empty):
            while (call := self._submitted.get(timeout=seconds)) is not None:
                call()
