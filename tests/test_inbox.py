"""One client's events: in order, one at a time."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable

from asgi_realtime.inbox import Inbox
from asgi_realtime.limits import Limits
from asgi_realtime.tasks import Tasks


def inbox(tasks: Tasks, **limits: float) -> Inbox:
    return Inbox(tasks, Limits(**limits))  # type: ignore[arg-type]


async def test_in_order_one_at_a_time_in_one_task() -> None:
    tasks, log = Tasks(), list[str]()
    work = inbox(tasks)

    def step(name: str) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            log.append(f"{name} begins")
            for _ in range(3):
                await asyncio.sleep(0)
            log.append(f"{name} ends")

        return run

    for name in "abc":
        work.submit(step(name))
    assert len(tasks) == 1
    await tasks.idle()
    assert log == [f"{name} {word}" for name in "abc" for word in ("begins", "ends")]
    work.submit(step("d"))
    await tasks.idle()
    assert log[-1] == "d ends"
    assert len(tasks) == 0, "an idle inbox owns no task"


async def test_what_is_submitted_by_the_last_step_is_done_too() -> None:
    tasks, log = Tasks(), list[int]()
    work = inbox(tasks)

    async def again() -> None:
        log.append(len(log))
        if len(log) < 3:
            work.submit(again)

    work.submit(again)
    await tasks.idle()
    assert log == [0, 1, 2]


async def test_full_until_one_has_begun() -> None:
    tasks, gate = Tasks(), asyncio.Event()
    work = inbox(tasks, events_in_flight=2)

    async def wait() -> None:
        await gate.wait()

    for _ in range(3):
        work.submit(wait)
    await asyncio.sleep(0)
    assert [work.full] == [True]
    ready = [asyncio.create_task(work.ready()) for _ in range(3)]
    ready[2].cancel()
    await asyncio.sleep(0)
    assert not ready[0].done()
    gate.set()
    await asyncio.gather(*ready[:2])
    assert not work.full
    await tasks.idle()


async def test_clear_forgets_what_has_not_begun_and_wakes_the_reader() -> None:
    tasks, gate, log = Tasks(), asyncio.Event(), list[str]()
    work = inbox(tasks, events_in_flight=1)

    async def first() -> None:
        await gate.wait()
        log.append("first")

    async def never() -> None:
        log.append("never")

    work.submit(first)
    await asyncio.sleep(0)
    work.submit(never)
    ready = asyncio.create_task(work.ready())
    await asyncio.sleep(0)
    work.clear()
    await ready
    gate.set()
    await tasks.idle()
    assert log == ["first"]


async def test_after_a_cancelled_dispatcher_work_can_be_submitted_again() -> None:
    tasks, log = Tasks(), list[int]()
    work = inbox(tasks)

    async def forever() -> None:
        await asyncio.Event().wait()

    async def note() -> None:
        log.append(1)

    work.submit(forever)
    await asyncio.sleep(0)
    await tasks.aclose()
    work.submit(note)
    await tasks.idle()
    assert log == [1]


async def test_rate() -> None:
    work = inbox(Tasks(), event_rate=1.0, event_burst=2)
    assert [work.admits(0.0) for _ in range(4)] == [True, True, False, False]
    assert work.admits(1.0)


async def test_nothing_is_remembered_of_work_that_is_done() -> None:
    class Payload:
        pass

    tasks = Tasks()
    work = inbox(tasks)
    payload = Payload()
    reference = weakref.ref(payload)

    def make(payload: Payload) -> Callable[[], Awaitable[None]]:
        async def run() -> None:
            assert payload is not None

        return run

    work.submit(make(payload))
    del payload
    await tasks.idle()
    gc.collect()
    assert reference() is None
