"""Threads for synchronous code of the host: a bounded number for each event loop, whatever hangs in them."""

from __future__ import annotations

import asyncio
import contextvars
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from anyio.lowlevel import RunVar

T = TypeVar("T")

_executor: RunVar[ThreadPoolExecutor | None] = RunVar("asgi_realtime.runtime.host_threads", None)
"""The running event loop's; None: asyncio's own."""


class HostThreads:
    """Gives the running event loop's calls of `run_in_thread` these threads, from `start` to `stop`."""

    def __init__(self, count: int) -> None:
        self._count = count
        self._executor: ThreadPoolExecutor | None = None

    def start(self) -> None:
        """Have threads made when they are needed. Those of a loop that ended without `stop` finish their calls."""
        if self._executor is not None:
            self._executor.shutdown(wait=False)
        self._executor = ThreadPoolExecutor(self._count, thread_name_prefix="asgi_realtime host")
        _executor.set(self._executor)

    def stop(self) -> None:
        """Begin nothing more. What runs is not waited for: it may hang."""
        if self._executor is not None:
            if _executor.get() is self._executor:
                _executor.set(None)
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = None


async def run_in_thread(function: Callable[..., T], *arguments: Any) -> T:
    """Call a function in a thread, with this task's context variables, and return what it returns.

    Whoever is cancelled waits no more. A call that has not begun then never does; one that has keeps
    its thread until it ends: a thread cannot be stopped, and so many calls that hang are not
    followed by ever more threads.
    """
    call = functools.partial(contextvars.copy_context().run, function, *arguments)
    return await asyncio.get_running_loop().run_in_executor(_executor.get(), call)
