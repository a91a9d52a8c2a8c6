"""Makes the tasks of this package."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import Context
from typing import Any, TypeVar

T = TypeVar("T")


def new_task(
    work: Coroutine[Any, Any, T], *, name: str | None = None, context: Context | None = None
) -> asyncio.Task[T]:
    """A task of the running event loop. Its first step runs after this call, in a later turn of the loop.

    The task factory of the loop is not used, because the host may have set `asyncio.eager_task_factory`. That runs the
    first step within this call, before the caller has stored the task. But tasks here remove or replace what the caller
    stores, and a task that has ended would stay stored as if it were running.

    `context`: the context variables of the task. None: a copy of the current context.
    """
    return asyncio.Task(work, loop=asyncio.get_running_loop(), name=name, context=context)
