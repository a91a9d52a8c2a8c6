"""Owned tasks and the timer wheel, on the clock of the event loop."""

from __future__ import annotations

import asyncio
import functools
import logging
import weakref
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asgi_realtime.runtime.coroutines import resume, run_with_timeout
from asgi_realtime.runtime.tasks import Tasks
from asgi_realtime.runtime.timers import TimerWheel, WeakOwner
from tests.support.waiting import until


async def test_a_task_is_owned_until_it_ends() -> None:
    tasks = Tasks()
    go = asyncio.Event()

    async def work() -> None:
        await go.wait()

    task = tasks.spawn(work(), name="work")
    assert len(tasks) == 1
    go.set()
    await task
    assert len(tasks) == 0
    assert task.get_name() == "work"


async def test_a_failure_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()

    async def work() -> None:
        raise LookupError("broken")

    with caplog.at_level(logging.ERROR):
        await asyncio.wait({tasks.spawn(work(), name="the worker")})
    assert [record.getMessage() for record in caplog.records] == ["a task failed (the worker): LookupError('broken')"]
    assert "LookupError: broken" in caplog.text
    assert len(tasks) == 0


async def test_closing_cancels_and_waits(caplog: pytest.LogCaptureFixture) -> None:
    tasks = Tasks()
    started, cleaned = asyncio.Event(), []

    async def work() -> None:
        try:
            started.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            cleaned.append(True)

    async def never_started() -> None:
        raise AssertionError

    tasks.spawn(work(), name="work")
    await started.wait()
    tasks.spawn(never_started(), name="late")
    await tasks.aclose()
    assert cleaned == [True]
    assert len(tasks) == 0
    assert not caplog.records
    await tasks.aclose()


async def test_closing_ends_what_tasks_start_while_they_end() -> None:
    tasks = Tasks()
    started = asyncio.Event()
    spawned: list[asyncio.Task[None]] = []

    async def forever() -> None:
        await asyncio.Event().wait()

    async def work() -> None:
        try:
            started.set()
            await forever()
        finally:
            spawned.append(tasks.spawn(forever(), name="spawned late"))

    tasks.spawn(work(), name="work")
    await started.wait()
    await tasks.aclose()
    assert spawned[0].cancelled()
    assert len(tasks) == 0


async def test_closing_ends_when_the_last_task_has_just_ended() -> None:
    tasks = Tasks()
    tasks.start()
    task = tasks.spawn(asyncio.sleep(0), name="short")
    await asyncio.sleep(0)  # the task begins
    await asyncio.sleep(0)  # it ends in this turn of the loop, before the test goes on: it is not taken out yet
    assert task.done() and len(tasks) == 1
    await tasks.aclose()
    assert len(tasks) == 0


async def test_an_owned_task_may_close_the_others() -> None:
    tasks = Tasks()
    other = tasks.spawn(asyncio.Event().wait(), name="other")
    closer = tasks.spawn(tasks.aclose(), name="closer")
    await closer
    assert other.cancelled()


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock jumps to the next timer: real timers without waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def time(self) -> float:
        return self.now

    def _run_once(self) -> None:
        scheduled = [handle for handle in self._scheduled if not handle.cancelled()]  # type: ignore[attr-defined]
        if not self._ready and scheduled:  # type: ignore[attr-defined]
            # As early as asyncio may call: ahead of the deadline by less than its clock resolution.
            self.now = max(self.now, min(handle.when() for handle in scheduled) - self._clock_resolution / 2)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def in_virtual_time(scenario: Callable[[VirtualLoop], None], seconds: float) -> None:
    """Call the scenario in a loop, and let this much of its time pass."""
    loop = VirtualLoop()

    async def run() -> None:
        scenario(loop)
        await asyncio.sleep(seconds)

    try:
        loop.run_until_complete(run())
    finally:
        loop.close()


class Owner:
    def __init__(self, on_deadline: Callable[[float], float | None]) -> None:
        self.on_deadline = on_deadline


def test_deadlines_are_met_in_time_and_never_early() -> None:
    calls: dict[float, float] = {}

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.25)
        for delay in (7.3, 0.1, 0.25, 0.0, -5.0, 7.31, 3.0, 4.0 - 1e-10):
            deadline = loop.now + delay
            wheel.schedule(deadline, Owner(functools.partial(calls.__setitem__, deadline)))

    in_virtual_time(scenario, 20)
    assert len(calls) == 8
    for deadline, now in calls.items():
        assert max(deadline, 1000.0) <= now <= max(deadline, 1000.0) + 0.25


def test_a_far_deadline_set_during_a_turn_does_not_delay_a_nearer_one() -> None:
    calls: list[tuple[str, float]] = []

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.5)

        def again(now: float) -> float | None:
            calls.append(("again", now - 1000))
            return 1010.0 if now < 1010 else None

        wheel.schedule(1001.0, Owner(again))
        wheel.schedule(1002.0, Owner(lambda now: calls.append(("near", now - 1000))))

    in_virtual_time(scenario, 20)
    assert [name for name, _ in calls] == ["again", "near", "again"]
    assert calls[1][1] <= 2.5


def test_a_wheel_that_ran_empty_starts_again() -> None:
    calls: list[float] = []

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.5)
        wheel.schedule(1001.0, Owner(calls.append))
        loop.call_at(1005.0, wheel.schedule, 1006.0, Owner(calls.append))

    in_virtual_time(scenario, 20)
    assert len(calls) == 2


def test_an_owner_that_is_always_due_gets_one_call_a_tick() -> None:
    calls: list[float] = []

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.1)

        def on_deadline(now: float) -> float | None:
            calls.append(now)
            return 0.0 if len(calls) < 50 else None

        wheel.schedule(1000.0, Owner(on_deadline))

    in_virtual_time(scenario, 10)
    assert len(calls) == 50
    assert all(0.09 < later - earlier < 0.11 for earlier, later in zip(calls, calls[1:], strict=False))


def test_an_owner_that_fails_affects_no_other(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[float] = []

    def broken(now: float) -> float | None:
        raise LookupError("broken")

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.1)
        wheel.schedule(1001.0, Owner(broken))
        wheel.schedule(1001.0, Owner(calls.append))

    in_virtual_time(scenario, 5)
    assert len(calls) == 1
    assert [record.getMessage() for record in caplog.records] == ["a timer failed: LookupError('broken')"]


def test_a_closed_wheel_calls_nothing() -> None:
    calls: list[float] = []

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.1)
        wheel.schedule(1001.0, Owner(calls.append))
        wheel.close()
        wheel.schedule(1002.0, Owner(calls.append))
        wheel.close()

    in_virtual_time(scenario, 5)
    assert calls == []


def test_an_owner_may_close_the_wheel() -> None:
    calls: list[float] = []

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.1)

        def last(now: float) -> float | None:
            calls.append(now)
            wheel.close()
            return now + 1

        wheel.schedule(1001.0, Owner(last))
        wheel.schedule(1002.0, Owner(calls.append))

    in_virtual_time(scenario, 5)
    assert len(calls) == 1


def test_a_weak_owner_is_called_while_its_object_exists_and_does_not_keep_it() -> None:
    calls: list[tuple[str, float]] = []

    class Client:
        def __init__(self, name: str) -> None:
            self.name = name

        def on_deadline(self, now: float) -> float | None:
            calls.append((self.name, now - 1000))
            return now + 1

    staying, leaving = Client("staying"), [Client("leaving")]
    gone = weakref.ref(leaving[0])

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=0.5)
        wheel.schedule(1001.0, WeakOwner(staying, Client.on_deadline))
        wheel.schedule(1001.0, WeakOwner(leaving[0], Client.on_deadline))
        loop.call_at(1002.0, leaving.clear)

    in_virtual_time(scenario, 3)
    assert calls == [("staying", 1.5), ("leaving", 1.5), ("staying", 3.0)]
    assert gone() is None


@settings(max_examples=60)
@given(
    tick=st.sampled_from([0.1, 0.25, 0.3, 1.0]),
    owners=st.lists(st.lists(st.floats(0, 30), min_size=1, max_size=5), max_size=12),
)
def test_every_owner_is_called_for_every_deadline(tick: float, owners: list[list[float]]) -> None:
    """Each owner has a list of delays, each from one call to the next deadline."""
    late: list[float] = []
    finished: list[int] = []

    def scenario(loop: VirtualLoop) -> None:
        wheel = TimerWheel(tick=tick)
        for waits in owners:
            own(wheel, loop.now, iter(waits))

    def own(wheel: TimerWheel, now: float, remaining: Iterator[float]) -> None:
        deadline = now + next(remaining)

        def on_deadline(now: float) -> float | None:
            nonlocal deadline
            late.append(now - deadline)
            wait = next(remaining, None)
            if wait is None:
                finished.append(1)
                return None
            deadline = now + wait
            return deadline

        wheel.schedule(deadline, Owner(on_deadline))

    in_virtual_time(scenario, 5 * (30 + 2 * tick) + 1)
    assert len(finished) == len(owners)
    assert all(0 <= delay <= tick * 1.001 for delay in late)


async def test_a_coroutine_that_has_begun_is_carried_on() -> None:
    log: list[str] = []

    async def work() -> str:
        try:
            await asyncio.sleep(0)
            log.append("slept")
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            log.append("cancelled")
            await asyncio.sleep(0)
            return "result"
        return "never"

    async def carry() -> str:
        coroutine = work()
        return await resume(coroutine, coroutine.send(None))

    task = asyncio.create_task(carry())
    await until(lambda: log)
    task.cancel()
    assert await task == "result"
    assert log == ["slept", "cancelled"]


async def test_a_coroutine_that_was_begun_and_fails() -> None:
    async def work() -> None:
        await asyncio.sleep(0)
        raise ValueError("a bug")

    coroutine = work()
    with pytest.raises(ValueError, match="a bug"):
        await resume(coroutine, coroutine.send(None))


async def test_only_a_coroutine_over_its_time_limit_is_cancelled() -> None:
    cancelled = asyncio.Event()

    async def work(times: int) -> int:
        try:
            for _ in range(times):
                await asyncio.sleep(0)
            if times > 1:
                await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise
        return times

    assert await run_with_timeout(60.0, work(0)) == 0
    assert await run_with_timeout(60.0, work(1)) == 1
    with pytest.raises(TimeoutError):
        await run_with_timeout(0.001, work(2))
    assert cancelled.is_set()


async def test_a_cancellation_is_no_timeout() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        begun.set()
        await asyncio.Event().wait()

    async def call() -> None:
        await run_with_timeout(60.0, work())

    calling = asyncio.create_task(call())
    await begun.wait()
    calling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await calling


@pytest.mark.parametrize("fails", [False, True])
async def test_what_a_coroutine_makes_of_its_timeout_counts(fails: bool) -> None:
    async def work() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if fails:
                raise ValueError("a bug") from None
        return "ended anyway"

    async def call() -> str:
        try:
            return await run_with_timeout(0.001, work())
        finally:
            task = asyncio.current_task()
            assert task is not None and task.cancelling() == 0

    calling = asyncio.create_task(call())
    if fails:
        with pytest.raises(ValueError, match="a bug"):
            await calling
    else:
        assert await calling == "ended anyway"


async def test_a_cancellation_and_a_timeout_together_are_a_cancellation() -> None:
    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            calling.cancel()
            raise

    async def call() -> None:
        await run_with_timeout(0.001, work())

    calling = asyncio.create_task(call())
    with pytest.raises(asyncio.CancelledError):
        await calling
