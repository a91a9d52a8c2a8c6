"""Work that runs at once, in the call that brings it, and becomes a task only if it has to wait.

Most event handlers never wait: they compute, send, and return. A task for each event would cost more than such a
handler: the task object, a pass through the event loop, and a context switch in both directions. So the first step of
the work, up to its first `await` that waits, runs in the caller. Two things must then hold.

- **The work must be in a task from the start.** `asyncio.current_task()`, timeouts and cancel scopes are bound to the
  task in which they are entered. So there is a standby task: a task that already exists and waits for work. For the
  first step it is made the current task, with `asyncio._enter_task` and `asyncio._leave_task`. asyncio documents both
  under "Extending asyncio" for third-party task implementations. If the step has to wait, the standby task resumes the
  work, and the work sees the same current task before and after. If not, the standby task is used again.
- **A cancellation must reach the work.** Between the first step and its continuation, the standby task waits for the
  work. A cancellation in that time is kept, and raised in the work where it waits next, as in any other task.

A standby task that was cancelled, or whose loop has stopped, is not used again. Standby tasks run in an empty context,
and the work in a copy of the caller's, so that no context variables of the client that is served now stay behind.

Everything about standby tasks is in this module. `Tasks` owns the pool, and `Inbox` runs work through `StandbyTasks`.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
import types
from asyncio import _enter_task, _leave_task, current_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Protocol

logger = logging.getLogger("asgi_realtime")


class WorkQueue(Protocol):
    """The owner of the work."""

    def serve(self, rest: Coroutine[Any, Any, None] | None, context: Context | None) -> Coroutine[Any, Any, None]:
        """Await what is left of work that has begun, in its context, and then do what waits behind it."""


class StandbyTasks:
    """The standby tasks of one event loop. It makes one when all are in use."""

    __slots__ = ("_own", "_spare")

    def __init__(self, own: Callable[[asyncio.Task[Any]], None]) -> None:
        """`own` is called with each task that gets work."""
        self._own = own
        self._spare: list[StandbyTask] = []

    def begin(self, queue: WorkQueue, work: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
        """Call `work` in a copy of the context, as a standby task. It returns a coroutine if there is more to wait for.

        Returns:
            True: the standby task goes on with `queue.serve`. False: the work has ended. An exception was logged.
        """
        spare = self._spare
        standby = spare.pop() if spare else None
        if standby is None or standby.task.cancelling() or not standby.loop.is_running():
            standby = self._take()
        loop = standby.loop  # asking for the running loop costs a system call
        outer = current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, standby.task)
        context, rest = copy_context(), None
        try:
            rest = context.run(work, *arguments)
        except asyncio.CancelledError:
            pass  # the work cancelled its own task, and has ended
        except Exception:
            logger.exception("work of a connection failed")
        finally:
            _leave_task(loop, standby.task)
            if outer is not None:
                _enter_task(loop, outer)
            if rest is None:
                spare.append(standby)
        if rest is None:
            return False
        standby.run(queue.serve(rest, context))
        self._own(standby.task)
        return True

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine in a standby task, not within this call."""
        standby = self._take()
        standby.run(work)
        self._own(standby.task)

    def _take(self) -> StandbyTask:
        while self._spare:
            standby = self._spare.pop()
            if not standby.task.cancelling() and standby.loop.is_running():
                return standby
        return StandbyTask()

    def clear(self) -> set[asyncio.Task[Any]]:
        """Forget all standby tasks and return them, to be cancelled."""
        tasks = {standby.task for standby in self._spare}
        self._spare.clear()
        return tasks


class StandbyTask:
    """A task that waits for a coroutine, and runs it, once."""

    __slots__ = ("_wanted", "_work", "loop", "task")

    def __init__(self) -> None:
        self.loop = loop = asyncio.get_running_loop()
        self._wanted: asyncio.Future[None] = loop.create_future()
        self._work: Coroutine[Any, Any, None] | None = None
        run = self._run()
        run.send(None)  # a task that is cancelled before its first step would never run the work
        create = functools.partial(loop.create_task, run, name="work of a connection")
        self.task = contextvars.Context().run(create)

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Have the task run this, soon. For the first and only time."""
        self._work = work
        if not self._wanted.done():
            self._wanted.set_result(None)

    async def _run(self) -> None:
        await self._wait()
        work, self._work = self._work, None
        assert work is not None
        await work

    async def _wait(self) -> None:
        """Wait for the work. A cancellation before it ends this task. One after it is raised in the work."""
        beginning = True
        while self._work is None or beginning:
            try:
                if beginning:
                    beginning = False
                    await _once()
                await self._wanted
            except asyncio.CancelledError as error:
                cancelled = self.task.cancelling()  # 0: the cancellation was taken back by `uncancel`
                if self._work is None:
                    if cancelled:
                        raise
                    self._wanted = self.loop.create_future()
                elif cancelled:
                    # As with any task that is cancelled while it runs: the next wait is cancelled.
                    self.task.uncancel()
                    self.task.cancel(*error.args)


@types.coroutine
def _once() -> Generator[None, None, None]:
    yield
