"""Closes connections to the database after handlers, as Django does after requests.

Django has a connection to the database for each thread. It closes old ones when a request begins and when it ends.
Handlers are not requests. Without this module their connections would stay open, also those that have failed.

- **A plain handler** runs in one of `MEW_HOST_THREADS` threads. Old connections of the thread are closed before and
  after it.
- **An async handler** that uses the ORM (`.aget()`, `sync_to_async`) would share one thread, and so one connection,
  with all other handlers of the process: asgiref has one thread for what belongs to no request. Here each handler
  gets a thread of its own when it uses the ORM for the first time, and keeps it until it ends. There are at most
  `MEW_HOST_THREADS` such threads. If all are busy, the handler waits for one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

from asgiref.sync import ThreadSensitiveContext
from django.db import close_old_connections

T = TypeVar("T")


class DatabaseThreads:
    """The threads of async handlers, and what is done around all handlers. See `AroundHostCode`."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._idle: list[ThreadPoolExecutor] = []
        self._waiting: deque[_Lease] = deque()

    def in_thread(self, call: Callable[[], T]) -> T:
        """Make a call in the current thread, and close old connections before and after it."""
        close_old_connections()
        try:
            return call()
        finally:
            close_old_connections()

    async def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine. What it runs in a thread runs in one thread, whose old connections are closed after it."""
        outer, task = _current_lease.get(), asyncio.current_task()
        if outer is not None and outer.task is task:
            return await work
        lease = _Lease(self, task)
        token = _current_lease.set(lease)
        try:
            async with ThreadSensitiveContext(executor=lease):
                return await work
        finally:
            lease.end()
            _current_lease.reset(token)

    def take(self, lease: _Lease) -> ThreadPoolExecutor | None:
        """Return a thread. None: all are busy, and the lease gets the next one that is free."""
        if self._idle:
            return self._idle.pop()
        if self._left:
            self._left -= 1
            return ThreadPoolExecutor(1, thread_name_prefix="asgi_realtime database")
        self._waiting.append(lease)
        return None

    def give_back(self, thread: ThreadPoolExecutor) -> None:
        """A lease has ended. Its thread closes old connections before it does anything else."""
        thread.submit(close_old_connections)
        if self._waiting:
            self._waiting.popleft().begin(thread)
        else:
            self._idle.append(thread)

    def wait_no_longer(self, lease: _Lease) -> None:
        """A lease has ended that had no thread yet."""
        self._waiting.remove(lease)


class _Lease(Executor):
    """What asgiref runs the synchronous parts of one handler with: a thread, from the first of them on.

    It is used on the event loop's thread only.
    """

    def __init__(self, threads: DatabaseThreads, task: asyncio.Task[Any] | None) -> None:
        self.task = task
        self._threads = threads
        self._thread: ThreadPoolExecutor | None = None
        self._calls: list[tuple[Future[Any], Callable[[], Any]]] = []  # those that wait for a thread

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        if self._thread is None and not self._calls:
            self._thread = self._threads.take(self)
        if self._thread is not None:
            return self._thread.submit(function, *args, **kwargs)
        future: Future[T] = Future()
        self._calls.append((future, lambda: function(*args, **kwargs)))
        return future

    def begin(self, thread: ThreadPoolExecutor) -> None:
        """Use this thread, from now on."""
        self._thread = thread
        for future, call in self._calls:
            thread.submit(_run, future, call)
        self._calls.clear()

    def end(self) -> None:
        """The handler has ended."""
        if self._thread is not None:
            self._threads.give_back(self._thread)
        elif self._calls:
            self._threads.wait_no_longer(self)
            for future, _ in self._calls:
                future.cancel()


_current_lease: ContextVar[_Lease | None] = ContextVar("asgi_realtime.django.lease", default=None)


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
