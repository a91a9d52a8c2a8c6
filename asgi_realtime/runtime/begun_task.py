"""A task whose first step runs at once."""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import Context
from typing import Any, Final, cast

from asgi_realtime.runtime.coroutines import resume, run_in_context
from asgi_realtime.runtime.tasks import Tasks


class _NoQueue:
    """Owns work that no other work follows. See `standby_task.WorkQueue`."""

    __slots__ = ()

    async def serve(self, rest: Coroutine[Any, Any, None] | None, context: Context | None) -> None:
        assert rest is not None and context is not None
        await run_in_context(context, rest)


_NO_QUEUE: Final = _NoQueue()


def begin_task(tasks: Tasks, work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine within this call until its first wait. A task of `tasks` runs the rest, if there is any.

    In the coroutine, `asyncio.current_task()` is that task from the beginning. An exception is logged.
    """
    tasks.standby.begin(_NO_QUEUE, _first_step, (work,))


def _first_step(work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    try:
        waiting = work.send(None)
    except StopIteration:
        return None
    return cast("Coroutine[Any, Any, None]", resume(work, waiting))
