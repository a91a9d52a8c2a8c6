"""Runs work at once in the caller's call. The work becomes a task only if it must wait.

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
and the work in a copy of the caller's context. So no context variable of one client is left for the next.

Everything about standby tasks is in this module. `Tasks` owns the pool, and `Inbox` runs work through `StandbyTasks`.
"""

from __future__ import annotations

import asyncio
import types
from asyncio import _enter_task, _leave_task, current_task
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any, Protocol

from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.new_task import new_task


class WorkQueue(Protocol):
    """The owner of the work."""

    def serve(self, rest: Coroutine[Any, Any, None] | None, context: Context | None) -> Coroutine[Any, Any, None]:
        """Await the rest of work that has begun, in its context, and then do the queued work."""


class StandbyTasks:
    """The pool of standby tasks of one event loop. A new one is made if none is idle."""

    __slots__ = ("_own", "_failures", "_idle")

    def __init__(self, own: Callable[[asyncio.Task[Any]], None], failures: FailureLog) -> None:
        """`own` is called with each task that gets work. `failures` logs work that raises."""
        self._own = own
        self._failures = failures
        self._idle: list[StandbyTask] = []

    def begin(self, queue: WorkQueue, work: Callable[..., Any], arguments: tuple[Any, ...]) -> bool:
        """Call `work` in a copy of the context, as a standby task. `work` returns a coroutine if it must wait.

        Returns:
            True: the standby task runs `queue.serve`. False: the work has ended. If it raised, that was logged.
        """
        idle = self._idle
        standby = idle.pop() if idle else None
        if standby is None or standby.task.cancelling() or not standby.loop.is_running():
            standby = self._take()
        loop = standby.loop  # getting the running loop costs a system call
        outer = current_task(loop)
        if outer is not None:
            _leave_task(loop, outer)
        _enter_task(loop, standby.task)
        context, rest = copy_context(), None
        try:
            rest = context.run(work, *arguments)
        except asyncio.CancelledError:
            pass  # the work cancelled its own task, and has ended
        except Exception as error:
            self._failures.failed(None, "work of a connection failed", error)
        finally:
            _leave_task(loop, standby.task)
            if outer is not None:
                _enter_task(loop, outer)
            if rest is None:
                idle.append(standby)
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
        while self._idle:
            standby = self._idle.pop()
            if not standby.task.cancelling() and standby.loop.is_running():
                return standby
        return StandbyTask()

    def clear(self) -> set[asyncio.Task[Any]]:
        """Remove all idle standby tasks and return them, so that the caller can cancel them."""
        tasks = {standby.task for standby in self._idle}
        self._idle.clear()
        return tasks


class StandbyTask:
    """A task that waits for a coroutine, and runs it. It is used once."""

    __slots__ = ("_work_given", "_work", "loop", "task")

    def __init__(self) -> None:
        self.loop = loop = asyncio.get_running_loop()
        self._work_given: asyncio.Future[None] = loop.create_future()
        self._work: Coroutine[Any, Any, None] | None = None
        run = self._run()
        run.send(None)  # a task that is cancelled before its first step would never run the work
        self.task = new_task(run, name="work of a connection", context=Context())

    def run(self, work: Coroutine[Any, Any, None]) -> None:
        """Let the task run this coroutine in the next turn of the loop. May be called once."""
        self._work = work
        if not self._work_given.done():
            self._work_given.set_result(None)

    async def _run(self) -> None:
        await self._wait()
        work, self._work = self._work, None
        assert work is not None
        await work

    async def _wait(self) -> None:
        """Wait for the work. A cancellation before that ends this task. A later one is raised in the work."""
        beginning = True
        while self._work is None or beginning:
            try:
                if beginning:
                    beginning = False
                    await _yield_to_loop()
                await self._work_given
            except asyncio.CancelledError as error:
                cancelled = self.task.cancelling()  # 0: the cancellation was taken back by `uncancel`
                if self._work is None:
                    if cancelled:
                        raise
                    self._work_given = self.loop.create_future()
                elif cancelled:
                    # As with any task that is cancelled while it runs: the next wait is cancelled.
                    self.task.uncancel()
                    self.task.cancel(*error.args)


@types.coroutine
def _yield_to_loop() -> Generator[None, None, None]:
    yield
