"""The events of one client are handled in order, one at a time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from typing import Any

import pytest

from asgi_realtime.limits import Limits
from asgi_realtime.runtime.coroutines import resume
from asgi_realtime.runtime.inbox import Inbox, Pending
from asgi_realtime.runtime.tasks import Tasks
from tests.support.waiting import until

SEEN = ContextVar("SEEN", default="nothing")


def inbox(tasks: Tasks, **limits: float) -> Inbox:
    return Inbox(tasks, Limits(**limits))  # type: ignore[arg-type]


@pytest.fixture
async def tasks() -> AsyncIterator[Tasks]:
    tasks = Tasks()
    yield tasks
    await tasks.aclose()


def begun(function: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., Pending]:
    """Runs the work until its first await, as for a handler."""

    def begin(*arguments: Any) -> Pending:
        coroutine = function(*arguments)
        try:
            return resume(coroutine, coroutine.send(None))
        except StopIteration:
            return None

    return begin


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def test_events_run_in_order_one_at_a_time_in_one_task(tasks: Tasks) -> None:
    log = list[str]()
    work = inbox(tasks)

    def step(name: str) -> Callable[[], Pending]:
        async def run() -> None:
            log.append(f"{name} begins")
            for _ in range(3):
                await asyncio.sleep(0)
            log.append(f"{name} ends")

        return run

    for name in "abc":
        work.submit(step(name))
    assert len(tasks) == 1
    await tasks.until_idle()
    assert log == [f"{name} {word}" for name in "abc" for word in ("begins", "ends")]
    work.submit(step("d"))
    await tasks.until_idle()
    assert log[-1] == "d ends"
    assert len(tasks) == 0, "an idle inbox has no task"


async def test_work_submitted_by_the_last_step_runs_too(tasks: Tasks) -> None:
    log = list[int]()
    work = inbox(tasks)

    async def again() -> None:
        log.append(len(log))
        if len(log) < 3:
            work.submit(again)

    work.submit(again)
    await tasks.until_idle()
    assert log == [0, 1, 2]


async def test_the_inbox_is_full_until_one_event_has_begun(tasks: Tasks) -> None:
    gate = asyncio.Event()
    work = inbox(tasks, events_in_flight=2)

    async def wait() -> None:
        await gate.wait()

    for _ in range(3):
        work.submit(wait)
    await until(lambda: work.waiting == 2)
    ready = [asyncio.create_task(work.ready()) for _ in range(3)]
    await asyncio.sleep(0)  # the three readers begin to wait
    ready[2].cancel()
    with pytest.raises(asyncio.CancelledError):
        await ready[2]
    assert not ready[0].done()
    gate.set()
    await asyncio.gather(*ready[:2])
    assert not work.full
    await tasks.until_idle()


async def test_clear_drops_waiting_work_and_wakes_the_reader(tasks: Tasks) -> None:
    gate, log = asyncio.Event(), list[str]()
    work = inbox(tasks, events_in_flight=1)

    async def first() -> None:
        await gate.wait()
        log.append("first")

    async def never() -> None:
        log.append("never")

    work.submit(first)
    await until(lambda: not work.waiting)
    work.submit(never)
    ready = asyncio.create_task(work.ready())
    await asyncio.sleep(0)  # the reader begins to wait
    assert not ready.done()
    work.clear()
    await ready
    gate.set()
    await tasks.until_idle()
    assert log == ["first"]


async def test_after_a_cancelled_dispatcher_work_can_be_submitted_again(tasks: Tasks) -> None:
    log = list[int]()
    work = inbox(tasks)

    async def forever() -> None:
        await asyncio.Event().wait()

    async def note() -> None:
        log.append(1)

    work.submit(forever)
    await until(lambda: not work.waiting)
    await tasks.aclose()
    work.submit(note)
    await tasks.until_idle()
    assert log == [1]


async def test_no_reference_to_finished_work_is_kept(tasks: Tasks) -> None:
    class Payload:
        pass

    work = inbox(tasks)
    payload = Payload()
    reference = weakref.ref(payload)

    def make(payload: Payload) -> Callable[[], Pending]:
        async def run() -> None:
            assert payload is not None

        return run

    work.submit(make(payload))
    del payload
    await tasks.until_idle()
    gc.collect()
    assert reference() is None


# Work that runs immediately


async def test_work_that_does_not_wait_runs_immediately_without_a_task(tasks: Tasks) -> None:
    work, log = inbox(tasks), list[str]()

    def add(text: str, times: int) -> None:
        log.append(text * times)

    assert not work.begin(add, "a", 1)
    assert not work.begin(add, "b", 2)
    assert log == ["a", "bb"]
    assert len(tasks) == 0


async def test_work_queued_behind_waiting_work_keeps_its_order(tasks: Tasks) -> None:
    work, gate, log = inbox(tasks, events_in_flight=3), asyncio.Event(), list[str]()

    async def wait(name: str) -> None:
        log.append(f"{name} begins")
        await gate.wait()
        log.append(f"{name} ends")

    def note(name: str) -> None:
        log.append(name)

    assert not work.begin(begun(wait), "a")
    assert [work.begin(note, "b"), work.begin(begun(wait), "c"), work.submit(lambda: note("d"))] == [False, False, True]
    assert log == ["a begins"]
    assert work.full
    gate.set()
    await tasks.until_idle()
    assert log == ["a begins", "a ends", "b", "c begins", "c ends", "d"]
    assert not work.begin(note, "e")
    assert log[-1] == "e"


async def test_work_begun_by_running_work_runs_after_it(tasks: Tasks) -> None:
    """A handler that submits more work, for example by closing its connection."""
    work, other, log = inbox(tasks), inbox(tasks), list[str]()
    inside = list[object]()

    def nested() -> None:
        inside.append(asyncio.current_task())
        log.append("of another")

    def outer() -> None:
        inside.append(asyncio.current_task())
        work.begin(log.append, "begun")
        work.submit(lambda: log.append("submitted"))
        other.begin(nested)
        inside.append(asyncio.current_task())
        log.append("outer ends")

    work.begin(outer)
    assert log == ["of another", "outer ends"]
    assert inside[0] is inside[2] is not inside[1]
    await tasks.until_idle()
    assert log[2:] == ["begun", "submitted"]


async def test_submitted_work_never_runs_within_the_call(tasks: Tasks) -> None:
    work, log = inbox(tasks), list[str]()
    work.submit(lambda: log.append("later"))
    work.begin(log.append, "behind it")
    assert log == []
    await tasks.until_idle()
    assert log == ["later", "behind it"]


async def test_each_event_has_its_own_context(tasks: Tasks) -> None:
    work, other, log = inbox(tasks), inbox(tasks), list[tuple[str, str]]()
    gate = asyncio.Event()

    async def change(name: str) -> None:
        log.append((name, SEEN.get()))
        SEEN.set(name)
        await gate.wait()
        log.append((name, SEEN.get()))

    SEEN.set("caller's")
    for each, name in ((work, "a"), (work, "b"), (other, "c"), (work, "d")):
        each.begin(begun(change), name)
        SEEN.set(f"caller's, after {name}")
    assert SEEN.get() == "caller's, after d"
    gate.set()
    await tasks.until_idle()
    assert dict(log[:2]) == {"a": "caller's", "c": "caller's, after b"}
    assert sorted(log[2:]) == [
        *[("a", "a"), ("b", "b"), ("b", "caller's, after a")],
        *[("c", "c"), ("d", "caller's, after c"), ("d", "d")],
    ]


async def test_work_that_fails_is_logged_and_ends_nothing_else(tasks: Tasks, caplog: pytest.LogCaptureFixture) -> None:
    work, gate, log = inbox(tasks), asyncio.Event(), list[str]()

    def fail() -> None:
        raise LookupError("broken")

    def fail_elsewhere() -> None:
        raise LookupError("broken too")

    async def wait_and_fail() -> None:
        await gate.wait()
        raise LookupError("broken later")

    work.begin(fail)
    work.begin(begun(wait_and_fail))
    work.begin(fail_elsewhere)
    work.begin(log.append, "after")
    gate.set()
    await tasks.until_idle()
    await until(lambda: log)
    assert [record.getMessage() for record in caplog.records] == [
        "work of a connection failed: LookupError('broken')",
        "work of a connection failed: LookupError('broken too')",
        "a task failed (work of a connection): LookupError('broken later')",
    ]
    assert log == ["after"]


async def test_cancelling_one_event_does_not_cancel_the_next(tasks: Tasks) -> None:
    work, log = inbox(tasks), list[str]()
    task = list[asyncio.Task[None]]()

    async def wait() -> None:
        task.append(current())
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    work.begin(begun(wait))
    work.begin(log.append, "next")
    task[0].cancel()
    await until(lambda: len(log) == 2)
    assert log == ["cancelled", "next"]


async def test_closing_cancels_the_running_handler_and_drops_queued_events() -> None:
    tasks, log = Tasks(), list[str]()
    work = inbox(tasks)

    async def wait() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            log.append("cancelled")

    work.begin(begun(wait))
    work.begin(log.append, "never")
    await tasks.aclose()
    assert log == ["cancelled"]
    work.begin(log.append, "started again")
    assert log[1:] == ["started again"]
    await tasks.aclose()
