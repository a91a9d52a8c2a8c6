"""Runs a coroutine at once until its first wait, and awaits the rest."""

from __future__ import annotations

import asyncio
import types
from collections.abc import Coroutine, Generator
from contextvars import Context
from typing import Any, Final

from asgi_realtime.runtime.tasks import T


@types.coroutine
def resume(work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Await the rest of a coroutine. It was started by `send(None)`, which returned `waiting`."""
    while True:
        try:
            try:
                sent = yield waiting
            except BaseException as error:  # such as a cancellation: the coroutine handles it
                waiting = work.throw(error)
            else:
                waiting = work.send(sent)
        except StopIteration as done:
            result: T = done.value
            return result


@types.coroutine
def _resume_in_context(context: Context, work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    while True:
        try:
            try:
                sent = yield waiting
            except BaseException as error:  # such as a cancellation: the coroutine handles it
                waiting = context.run(work.throw, error)
            else:
                waiting = context.run(work.send, sent)
        except StopIteration as done:
            result: T = done.value
            return result


async def run_in_context(context: Context, work: Coroutine[Any, Any, T]) -> T:
    """Await a coroutine. Each of its steps runs in this context."""
    try:
        waiting = context.run(work.send, None)
    except StopIteration as done:
        result: T = done.value
        return result
    return await _resume_in_context(context, work, waiting)


TIMED_OUT: Final = "it takes too long"
"""The message of a `CancelledError` for a coroutine that takes too long."""


class _Deadline:
    """Cancels a task when the time is up."""

    __slots__ = ("_cancelling", "_task", "passed")

    def __init__(self, task: asyncio.Task[Any]) -> None:
        self._task = task
        self._cancelling = task.cancelling()
        self.passed = False

    def pass_(self) -> None:
        self.passed = True
        self._task.cancel(TIMED_OUT)

    def uncancel(self) -> bool:
        """Take the cancellation back. Returns whether it was the only one."""
        return self._task.uncancel() <= self._cancelling


@types.coroutine
def run_with_timeout(seconds: float, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await a coroutine for at most `seconds`. If it ends without waiting, no timer is made.

    Raises:
        TimeoutError: it took longer, and was cancelled.
    """
    try:
        waiting = work.send(None)
    except StopIteration as done:
        at_once: T = done.value
        return at_once
    return (yield from _resume_within(seconds, work, waiting))


@types.coroutine
def resume_within(seconds: float, work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    """Await the rest of a coroutine, as `resume` does, for at most `seconds`.

    Raises:
        TimeoutError: it took longer, and was cancelled.
    """
    return (yield from _resume_within(seconds, work, waiting))


def _resume_within(seconds: float, work: Coroutine[Any, Any, T], waiting: Any) -> Generator[Any, Any, T]:
    # The same as `asyncio.timeout` in half the time, because every broadcast through Redis passes here. It is a
    # generator that does what `resume` does, so that a broadcast has one coroutine less.
    task = asyncio.current_task()
    assert task is not None, "asyncio runs coroutines in tasks"
    deadline = _Deadline(task)
    timer = asyncio.get_running_loop().call_later(seconds, deadline.pass_)
    try:
        while True:
            try:
                sent = yield waiting
            except BaseException as error:  # such as a cancellation: the coroutine handles it
                waiting = work.throw(error)
            else:
                waiting = work.send(sent)
    except StopIteration as done:
        result: T = done.value
    except asyncio.CancelledError as error:
        if deadline.passed and deadline.uncancel():
            raise TimeoutError from error
        raise
    except BaseException:
        if deadline.passed:
            deadline.uncancel()
        raise
    finally:
        timer.cancel()
    if deadline.passed:
        deadline.uncancel()
    return result
