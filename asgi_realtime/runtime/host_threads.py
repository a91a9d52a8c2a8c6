"""A bounded number of threads for synchronous code of the host, for each event loop."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from anyio.lowlevel import RunVar

from asgi_realtime.runtime.host_code import AroundHostCode

T = TypeVar("T")

_executor: RunVar[ThreadPoolExecutor | None] = RunVar("asgi_realtime.runtime.host_threads", None)
"""The executor of the running event loop. None: asyncio's default executor."""


class HostThreads:
    """The threads that `run_in_thread` uses on an event loop, from `start` to `stop`."""

    def __init__(self, count: int, around: AroundHostCode | None = None) -> None:
        self._count = count
        self._around = around
        self._executor: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Begin. Threads are made on demand. Those of a loop that ended without `stop` finish their calls."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        name = "asgi_realtime host"
        if self._around is None:
            self._executor = ThreadPoolExecutor(self._count, thread_name_prefix=name)
        else:
            self._executor = _WrappingExecutor(self._count, name, self._around)
        _executor.set(self._executor)

    def stop(self) -> None:
        """Start no more calls. Calls that are running are not awaited, because they may hang."""
        if self._executor is not None:
            if _executor.get() is self._executor:
                _executor.set(None)
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


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
    call = functools.partial(contextvars.copy_context().run, call_for_future, function, *arguments)
    return asyncio.get_running_loop().run_in_executor(_executor.get(), call)


def call_for_future(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function whose result goes into a future, which cannot hold a `StopIteration`.

    Raises:
        RuntimeError: instead of `StopIteration`. In Python 3.11 the caller would wait for ever.
        BaseException: whatever else the function raises.
    """
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError("a function of the host raised StopIteration") from error
