"""Owns tasks: it logs their errors, and cancels them at shutdown."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Coroutine
from typing import Any, Final, TypeVar

from asgi_realtime.runtime.failure_log import FailureLog
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.runtime.standby_task import StandbyTasks

T = TypeVar("T")

STOPPED: Final = "the process stops"
"""The message of a `CancelledError` of `aclose`."""

HOST_ERRORS: Final = (Exception, asyncio.CancelledError, SystemExit)
"""What a call of host code may raise without an end of more than that call.

`ends_this_task` says whether a `CancelledError` is the host's own. asyncio ends the event loop if a task raises
`SystemExit`. So `sys.exit()` in a handler, or in a parser of arguments that it calls, would end the connections of all
clients. `KeyboardInterrupt` is not among them: Ctrl-C must end the process, whatever code it interrupts.
"""


class Tasks:
    """Owns tasks: an exception that no code awaits is logged, and `aclose` cancels what is left."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._endless: set[asyncio.Task[Any]] = set()
        self.failures = FailureLog()
        """Logs what fails where no caller gets the exception."""
        self.standby = StandbyTasks(self._own, self.failures)
        """Runs work at once, as a task that resumes it if it must wait."""
        self.closing = False
        """Whether `aclose` is running."""

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self) -> None:
        """Begin on the running event loop. Tasks of a loop that ended without `aclose` are dropped."""
        self._tasks, self._endless = set(), set()
        self.standby.clear()
        self.failures.clear()
        self.closing = False

    def spawn(
        self, work: Coroutine[Any, Any, T], *, name: str, endless: bool = False, gateway: str | None = None
    ) -> asyncio.Task[T]:
        """Start a task that this object owns.

        `endless`: it may run until it is cancelled, so `until_idle` does not wait for it. `gateway`: its failure is
        logged as one of this gateway.
        """
        task = new_task(work, name=name)
        self._own(task, gateway)
        if endless:
            self._endless.add(task)
        return task

    def spawn_host(
        self, work: Coroutine[Any, Any, T], *, name: str, endless: bool = False, gateway: str | None = None
    ) -> asyncio.Task[T]:
        """`spawn` for a coroutine of the host, which may raise any of `HOST_ERRORS`.

        Raises:
            TypeError: it is no coroutine.
        """
        if not asyncio.iscoroutine(work):
            raise TypeError(f"a coroutine was expected, got {work!r}")
        task = self.spawn(contained(work), name=name, endless=endless, gateway=gateway)
        task.add_done_callback(lambda _: work.close())  # if the task was cancelled before its first step
        return task

    def _own(self, task: asyncio.Task[Any], gateway: str | None = None) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._done if gateway is None else functools.partial(self._done, gateway=gateway))

    def _done(self, task: asyncio.Task[Any], gateway: str | None = None) -> None:
        self._tasks.discard(task)
        self._endless.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures.failed(gateway, "a task failed", error, about=task.get_name())

    async def until_idle(self) -> None:
        """Return when only endless tasks are left. Tasks that are started while waiting are awaited too."""
        while tasks := self._tasks - self._endless:
            await asyncio.wait(tasks)

    async def aclose(self) -> None:
        """Cancel every task and wait until all have ended, including tasks that are started while waiting.

        If an owned task calls this, that task is not cancelled.
        """
        current = asyncio.current_task()
        self.closing = True
        try:
            while tasks := [task for task in self._all() if task is not current]:
                for task in tasks:
                    task.cancel(STOPPED)
                # Not `gather`: from Python 3.12 on it returns at once if all of them have just ended. `_done` would not
                # be called, and this loop would never end.
                await asyncio.wait(tasks)
        finally:
            self.closing = False

    def _all(self) -> set[asyncio.Task[Any]]:
        return self._tasks | self.standby.clear()


def ends_this_task(error: BaseException) -> bool:
    """Whether an error is the cancellation of the current task. If not, host code awaited a cancelled future."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


async def contained(work: Awaitable[T]) -> T:
    """Await host code where what it raises ends a task.

    Raises:
        RuntimeError: instead of `SystemExit`, and of a `CancelledError` that is not the cancellation of this task.
        BaseException: whatever else it raises.
    """
    try:
        return await work
    except (SystemExit, asyncio.CancelledError) as error:
        if ends_this_task(error):
            raise
        raise RuntimeError(f"code of the host raised {type(error).__name__}") from error
