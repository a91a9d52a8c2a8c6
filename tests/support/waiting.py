"""Waiting for conditions that no event announces."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from asgi_realtime.realtime import Realtime


async def until(condition: Callable[[], object | Awaitable[object]], *, seconds: float = 20.0) -> None:
    """Return as soon as the condition holds. It may be a coroutine function.

    Raises:
        TimeoutError: if it does not hold within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            await asyncio.sleep(0.005)


async def no_user_online(realtime: Realtime, *, seconds: float = 20.0) -> None:
    """Return as soon as no user is online on any gateway.

    Raises:
        TimeoutError: if a user is still online after `seconds`.
    """

    async def all_offline() -> bool:
        return not any([await realtime.presence.online(gateway) for gateway in realtime.registry])

    await until(all_offline, seconds=seconds)


@asynccontextmanager
async def no_task_left() -> AsyncIterator[None]:
    """Fail if the block leaves a task running. Tasks have one second to end."""
    before = asyncio.all_tasks()
    yield
    left = {task for task in asyncio.all_tasks() - before if not _drives_tests(task)}
    if left:
        _, left = await asyncio.wait(left, timeout=1)
    assert not left, f"{len(left)} task(s) left running: {left}"


def _drives_tests(task: asyncio.Task[Any]) -> bool:
    # anyio runs each step of a test (start of a fixture, test, end of a fixture) in a task like this.
    return getattr(task.get_coro(), "__qualname__", "") == "TestRunner._call_in_runner_task"


async def forgotten(references: Sequence[weakref.ref[Any]]) -> None:
    """Wait until these objects have been freed."""

    def gone() -> bool:
        gc.collect()
        return all(reference() is None for reference in references)

    await until(gone)
