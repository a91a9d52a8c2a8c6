"""Coroutines that run until their first wait at once, and are awaited from there."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from typing import Any

from asgi_realtime.runtime.tasks import T


def _run(step: Callable[[Any], Any], value: Any) -> Any:
    return step(value)


@types.coroutine
def resume(work: Coroutine[Any, Any, T], waiting: Any, run: Callable[..., Any] = _run) -> Generator[Any, Any, T]:
    """Await what is left of a coroutine that was begun by `send(None)`, which returned `waiting`.

    `run` calls each step of it: in another context, say.
    """
    while True:
        try:
            try:
                sent = yield waiting
            except BaseException as error:  # a cancellation: the coroutine's to deal with
                waiting = run(work.throw, error)
            else:
                waiting = run(work.send, sent)
        except StopIteration as done:
            result: T = done.value
            return result


async def within(context: Context, work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine, each step of it in this context."""
    try:
        waiting = context.run(work.send, None)
    except StopIteration as done:
        result: T = done.value
        return result
    return await resume(work, waiting, context.run)


async def in_time(seconds: float, work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine for at most so long. One that ends without waiting costs no timer.

    Raises:
        TimeoutError: it took longer, and has been cancelled.
    """
    try:
        waiting = work.send(None)
    except StopIteration as done:
        result: T = done.value
        return result
    async with asyncio.timeout(seconds):
        return await resume(work, waiting)
