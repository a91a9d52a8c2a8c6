"""A bounded number of threads for synchronous code of the host, for each event loop.

There are two pools. Code in the first one may wait for other code of the host: a plain handler that refreshes rooms
waits for `rooms_of`. That code runs in the second pool. With one pool, as many such handlers as it has threads would
wait for each other.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import Any, Final, NamedTuple, TypeVar

from anyio.lowlevel import RunVar

from asgi_realtime.runtime.host_code import AroundHostCode

T = TypeVar("T")

MOST_SEPARATE: Final = 16
"""Most threads of the second pool."""


class _Pools(NamedTuple):
    usual: ThreadPoolExecutor
    separate: ThreadPoolExecutor


_pools: RunVar[_Pools | None] = RunVar("asgi_realtime.runtime.host_threads", None)
"""The pools of the running event loop. None: asyncio's default executor is used."""
_separate: ContextVar[bool] = ContextVar("asgi_realtime.runtime.host_threads.separate", default=False)


@contextlib.contextmanager
def separate_threads() -> Iterator[None]:
    """Within this, host code runs in the second pool. For code that a thread of the first pool may wait for."""
    token = _separate.set(True)
    try:
        yield
    finally:
        _separate.reset(token)


def in_separate_threads() -> bool:
    """Whether the current code is within `separate_threads`."""
    return _separate.get()


def separate_count(count: int) -> int:
    """The size of the second pool, if the first one has `count` threads."""
    return min(count, MOST_SEPARATE)


class HostThreads:
    """The threads that `run_in_thread` uses on an event loop, from `start` to `stop`."""

    def __init__(self, count: int, around: AroundHostCode | None = None) -> None:
        self._count = count
        self._around = around
        self._pools: _Pools | None = None

    def start(self) -> None:
        """Begin. Threads are made on demand. Those of a loop that ended without `stop` finish their calls."""
        for pool in self._pools or ():
            pool.shutdown(wait=False)
        self._pools = _Pools(
            self._pool(self._count, "asgi_realtime host"),
            self._pool(separate_count(self._count), "asgi_realtime host (separate)"),
        )
        _pools.set(self._pools)

    def _pool(self, count: int, name: str) -> ThreadPoolExecutor:
        if self._around is None:
            return ThreadPoolExecutor(count, thread_name_prefix=name)
        return _WrappingExecutor(count, name, self._around)

    def stop(self) -> None:
        """Start no more calls. Calls that are running are not awaited, because they may hang."""
        if self._pools is not None:
            if _pools.get() is self._pools:
                _pools.set(None)
            for pool in self._pools:
                pool.shutdown(wait=False, cancel_futures=True)
            self._pools = None


class _WrappingExecutor(ThreadPoolExecutor):
    """Threads for a framework that has something to do around each call."""

    def __init__(self, count: int, name: str, around: AroundHostCode) -> None:
        super().__init__(count, thread_name_prefix=name)
        self._around = around

    def submit(self, function: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return self._around.submit(super().submit, functools.partial(function, *args, **kwargs))


async def run_in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread, with this task's context variables, and return what it returns.

    If the caller is cancelled, it stops waiting. A call that has not started is then never started. A call that is
    running keeps its thread until it returns, because a thread cannot be stopped. Calls that hang still count, so the
    number of threads stays bounded.
    """
    return await start_in_thread(function, *arguments)


def start_in_thread(function: Callable[..., T], *arguments: Any) -> asyncio.Future[T]:
    """Begin to call a function in a thread. As `run_in_thread`, but the caller need not wait for the result."""
    call = functools.partial(copy_context().run, call_for_future, function, *arguments)
    pools = _pools.get()
    pool = None if pools is None else pools.separate if _separate.get() else pools.usual
    return asyncio.get_running_loop().run_in_executor(pool, call)


def call_for_future(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function whose result goes into a future.

    Raises:
        RuntimeError: instead of `StopIteration`, which a future cannot hold: in Python 3.11 the caller would wait for
            ever. And instead of `SystemExit`, which would end the event loop: see `HOST_ERRORS`.
        BaseException: whatever else the function raises.
    """
    try:
        return function(*arguments)
    except (StopIteration, SystemExit) as error:
        raise RuntimeError(f"a function of the host raised {type(error).__name__}") from error
