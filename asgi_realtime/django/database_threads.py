"""Closes connections to the database after handlers, as Django does after requests.

Django has a connection to the database for each thread. It closes old ones when a request begins and when it ends.
Handlers are not requests. Without this module their connections would stay open, also those that have failed.

- **A plain handler** runs in one of `MEW_HOST_THREADS` threads. Old connections of the thread are closed before and
  after it. Behind an async wrapper that has used the ORM, it runs in the thread of the wrapper.
- **An async handler** that uses the ORM (`.aget()`, `sync_to_async`) would share one thread, and so one connection,
  with all other handlers of the process: asgiref has one thread for what belongs to no request. Here each handler
  gets a thread of its own when it uses the ORM for the first time, and keeps it until it ends. There are at most
  `MEW_HOST_THREADS` such threads. If all are busy, the handler waits for one. Old connections are closed as above.
- **What a handler may wait for**, such as `rooms_of`, gets other threads: see `host_threads`.
"""

from __future__ import annotations

import asyncio
import functools
import threading
from collections import deque
from collections.abc import Callable, Coroutine
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any, TypeVar

from asgiref.sync import ThreadSensitiveContext
from django.db import connections

from asgi_realtime.runtime.host_threads import in_separate_threads, separate_count

T = TypeVar("T")


class DatabaseThreads:
    """The threads of async handlers, and what is done around all handlers. See `AroundHostCode`."""

    def __init__(self, count: int) -> None:
        self._usual = _Pool(count)
        self._separate = _Pool(separate_count(count))

    def submit(self, begin: Callable[[Callable[[], T]], Future[T]], call: Callable[[], T]) -> Future[T]:
        """Make a call in the thread of the current handler. If it has none, in one of the host's threads."""
        lease = _current_lease.get()
        if lease is not None and lease.has_thread and lease.belongs_to(asyncio.current_task()):
            # With another thread, the handler would hold a connection while it waits for a second one. If all handlers
            # did this, they could use up a pool of connections and wait forever.
            return lease.submit(call)
        return begin(functools.partial(_closing_connections, call))

    async def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine. What it runs in a thread runs in one thread, whose old connections are closed after it."""
        outer, task = _current_lease.get(), asyncio.current_task()
        if outer is not None and outer.belongs_to(task):
            return await work
        lease = _Lease(self._separate if in_separate_threads() else self._usual, task)
        token = _current_lease.set(lease)
        try:
            async with ThreadSensitiveContext(executor=lease):
                return await work
        finally:
            lease.end()
            _current_lease.reset(token)


class _Pool:
    """Threads, each for one handler at a time."""

    def __init__(self, count: int) -> None:
        # A thread reports itself when it is free, so all below may be changed by any thread.
        self.lock = threading.Lock()
        self._left = count
        self._idle: list[ThreadPoolExecutor] = []
        self._waiting: deque[_Lease] = deque()

    def take(self, lease: _Lease) -> ThreadPoolExecutor | None:
        """Return a thread. None: all are busy, and the lease gets the next one that is free. Call it with the lock."""
        if self._idle:
            thread = self._idle.pop()
            thread.submit(_close_connections)  # they may have become too old since the last handler
            return thread
        if self._left:
            self._left -= 1
            return ThreadPoolExecutor(1, thread_name_prefix="asgi_realtime database")
        self._waiting.append(lease)
        return None

    def give_back(self, thread: ThreadPoolExecutor) -> None:
        """A lease has ended. Its thread is free when it has closed old connections.

        That takes long after a handler that was cancelled: a query that is running cannot be stopped.
        """
        thread.submit(_close_connections).add_done_callback(lambda _: self._free(thread))

    def wait_no_longer(self, lease: _Lease) -> None:
        """A lease has ended that had no thread yet. Call it with the lock."""
        self._waiting.remove(lease)

    def _free(self, thread: ThreadPoolExecutor) -> None:
        with self.lock:
            if self._waiting:
                self._waiting.popleft().begin(thread)
            else:
                self._idle.append(thread)


class _Lease(Executor):
    """The executor of one handler for asgiref. It gets a thread at its first call."""

    def __init__(self, pool: _Pool, task: asyncio.Task[Any] | None) -> None:
        self._task = task
        self._ended = False
        self._pool = pool
        self._thread: ThreadPoolExecutor | None = None
        self._calls: list[tuple[Future[Any], Callable[[], Any]]] = []  # those that wait for a thread

    @property
    def has_thread(self) -> bool:
        return self._thread is not None

    def belongs_to(self, task: asyncio.Task[Any] | None) -> bool:
        """Whether a handler has it that runs in this task.

        Work that a handler queues for its connection gets a copy of its context. It may run in the same task, after the
        handler has ended and another one has got the thread.
        """
        return not self._ended and self._task is task

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        with self._pool.lock:
            if self._thread is None and not self._calls:
                self._thread = self._pool.take(self)
            if self._thread is None:
                future: Future[T] = Future()
                self._calls.append((future, lambda: function(*args, **kwargs)))
                return future
        return self._thread.submit(function, *args, **kwargs)

    def begin(self, thread: ThreadPoolExecutor) -> None:
        """Use this thread, from now on. Call it with the lock."""
        self._thread = thread
        for future, call in self._calls:
            thread.submit(_run, future, call)
        self._calls.clear()

    def end(self) -> None:
        """The handler has ended."""
        self._ended = True
        with self._pool.lock:
            calls = self._calls
            if calls:
                self._pool.wait_no_longer(self)
        for future, _ in calls:
            future.cancel()
        if self._thread is not None:
            self._pool.give_back(self._thread)


_current_lease: ContextVar[_Lease | None] = ContextVar("asgi_realtime.django.lease", default=None)


def _closing_connections(call: Callable[[], T]) -> T:
    """Make a call in the current thread, and close old connections before and after it."""
    _close_connections()
    try:
        return call()
    finally:
        _close_connections()


def _close_connections() -> None:
    """Close what Django closes around requests: connections of this thread that have failed, or are too old."""
    for connection in connections.all(initialized_only=True):
        connection.close_if_unusable_or_obsolete()
        if connection.in_atomic_block:
            # A handler was cancelled between the begin of a transaction and its end. Django would wait for the end of
            # the transaction, and refuse all queries of this thread, also after the connection is closed.
            connection.close()
            del connections[connection.alias]


def _run(future: Future[Any], call: Callable[[], Any]) -> None:
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)
