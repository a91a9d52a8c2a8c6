"""A plain generator of the host as an async context manager. Its steps run in threads, with the same context variables.

A thread cannot be cancelled. So an event that is given up may leave a step that still runs. What the generator has
acquired is released all the same: by the thread itself, or by a call that is begun without waiting for it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.host_threads import start_in_thread


class ThreadGenerator:
    """Runs a generator function up to its `yield`, and the rest at the end.

    Args:
        manager: the generator, by `contextlib.contextmanager`.
        name: what it is, for the log.
        failures: gets what the caller cannot be told. It is called in threads.
    """

    def __init__(self, manager: AbstractContextManager[Any], name: str, failures: FailureLog) -> None:
        self._manager = manager
        self._name = name
        self._failures = failures
        self._context = contextvars.copy_context()
        """Of both steps, so that the second one can reset a variable that the first one has set."""
        self._lock = threading.Lock()
        self._entered = False
        self._abandoned = False

    async def __aenter__(self) -> Any:
        """Run it up to its `yield`, in a thread. If that is cancelled, it ends as soon as it gets there."""
        try:
            return await start_in_thread(self._enter)
        except asyncio.CancelledError as error:
            with self._lock:
                self._abandoned = True
                left = self._entered
            if left:  # it got there in the same moment
                await self.__aexit__(type(error), error, None)
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Run the rest, in a thread. Once this was called it runs, also if the caller is cancelled."""
        rest = start_in_thread(self._context.run, self._manager.__exit__, kind, error, traceback)
        try:
            return await asyncio.shield(rest)
        except asyncio.CancelledError:
            rest.add_done_callback(self._report)
            raise

    def _enter(self) -> Any:
        try:
            value = self._context.run(self._manager.__enter__)
        except BaseException as error:
            if self._abandoned:
                self._log(error)
            raise
        with self._lock:
            self._entered = True
            abandoned = self._abandoned
        if abandoned:
            cancelled = asyncio.CancelledError()
            try:
                self._context.run(self._manager.__exit__, asyncio.CancelledError, cancelled, None)
            except BaseException as error:
                self._log(error)
        return value

    def _report(self, rest: asyncio.Future[bool | None]) -> None:
        error = None if rest.cancelled() else rest.exception()
        if error is not None:
            self._log(error)

    def _log(self, error: BaseException) -> None:
        if not isinstance(error, asyncio.CancelledError):
            self._failures.failed(None, f"{self._name} failed after its event was given up", error)


def thread_generator(make: Callable[..., AbstractContextManager[Any]], name: str) -> Callable[..., ThreadGenerator]:
    """Return what makes a `ThreadGenerator` from the arguments of the generator function."""
    failures = FailureLog()

    def managed(*arguments: Any, **named: Any) -> ThreadGenerator:
        return ThreadGenerator(make(*arguments, **named), name, failures)

    return managed
