"""What a framework does around code of the host, such as closing its database connections."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class AroundHostCode(Protocol):
    """Runs the code of the host: handlers, hooks, services and authenticators."""

    def submit(self, begin: Callable[[Callable[[], T]], Future[T]], call: Callable[[], T]) -> Future[T]:
        """Make a call of synchronous code in a thread: by `begin` in one of the `HostThreads`, or in another one."""

    async def in_loop(self, work: Coroutine[Any, Any, T]) -> T:
        """Await a coroutine of the host, and return its result. Called again within it for the hooks that it calls."""


def wrapped(around: AroundHostCode | None, function: Callable[..., Coroutine[Any, Any, T]]) -> Any:
    """The coroutine function to call instead of one of the host. None: the function itself."""
    return function if around is None else functools.partial(_call, around, function)


def _call(
    around: AroundHostCode, function: Callable[..., Coroutine[Any, Any, T]], *arguments: Any
) -> Coroutine[Any, Any, T]:
    # What the function raises before its coroutine begins, such as the refusal of a payload, is raised here too.
    return around.in_loop(function(*arguments))
