"""A task whose first step runs at once."""

from __future__ import annotations

import asyncio
import contextvars
import logging

import pytest

from asgi_realtime.runtime.begun_task import begin_task
from asgi_realtime.runtime.tasks import Tasks


async def test_work_that_does_not_wait_is_done_when_the_call_returns() -> None:
    tasks, done = Tasks(), []

    async def work() -> None:
        done.append(asyncio.current_task() is not caller)

    caller = asyncio.current_task()
    begin_task(tasks, work())
    assert done == [True]
    assert len(tasks) == 0 and asyncio.current_task() is caller
    await tasks.aclose()


async def test_work_that_waits_goes_on_in_the_same_task_and_context() -> None:
    tasks, seen, released = Tasks(), [], asyncio.Event()
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")

    async def work() -> None:
        before = asyncio.current_task()
        variable.set("of the work")
        await released.wait()
        seen.append((asyncio.current_task() is before, variable.get()))

    variable.set("of the caller")
    begin_task(tasks, work())
    assert len(tasks) == 1 and variable.get() == "of the caller"
    released.set()
    await tasks.until_idle()
    assert seen == [(True, "of the work")]
    await tasks.aclose()


async def test_work_that_waits_can_be_cancelled() -> None:
    tasks, ended = Tasks(), []
    begun: list[asyncio.Task[None] | None] = []

    async def work() -> None:
        begun.append(asyncio.current_task())
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ended.append("cancelled")
            raise

    begin_task(tasks, work())
    assert begun[0] is not None
    begun[0].cancel()
    await tasks.until_idle()
    assert ended == ["cancelled"]
    await tasks.aclose()


async def test_an_error_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ZeroDivisionError

    tasks = Tasks()
    with caplog.at_level(logging.ERROR, "asgi_realtime"):
        begin_task(tasks, work())
    assert [record.exc_info[0] for record in caplog.records if record.exc_info] == [ZeroDivisionError]
    await tasks.aclose()
