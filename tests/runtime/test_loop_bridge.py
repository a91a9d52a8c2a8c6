"""Calls from threads to the event loop: results, refusals, and how each wait ends."""

from __future__ import annotations

import asyncio
import multiprocessing
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from asgi_realtime.runtime.loop_bridge import LoopBridge
from asgi_realtime.runtime.waiting_thread import WaitingThread


async def double(number: int) -> int:
    await asyncio.sleep(0)
    return 2 * number


@pytest.fixture
def bridge() -> LoopBridge:
    return LoopBridge()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as threads:
        yield threads


async def test_a_call_returns_the_result_or_raises_the_error(bridge: LoopBridge) -> None:
    bridge.bind(asyncio.get_running_loop())

    async def fail() -> None:
        raise LookupError("of the work")

    assert await asyncio.to_thread(lambda: bridge.run(double(21))) == 42
    with pytest.raises(LookupError, match="of the work"):
        await asyncio.to_thread(lambda: bridge.run(fail()))
    bridge.unbind()


async def test_a_call_without_a_running_loop_or_from_the_loops_thread_is_refused(bridge: LoopBridge) -> None:
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"not running.*with TestClient\(app\) as client"):
            await asyncio.to_thread(lambda: bridge.run(double(1)))
        states = [bridge.running]
        bridge.bind(asyncio.get_running_loop())
        assert [*states, bridge.running] == [False, True]
        with pytest.raises(RuntimeError, match="own thread; await the method of the async class instead"):
            bridge.run(double(1))
        bridge.unbind()


async def test_waiting_calls_end_when_the_service_stops(bridge: LoopBridge, threads: ThreadPoolExecutor) -> None:
    bridge.bind(asyncio.get_running_loop())
    entered = asyncio.Semaphore(0)
    ended = asyncio.Semaphore(0)

    async def wait() -> None:
        entered.release()
        try:
            await asyncio.Event().wait()
        finally:
            ended.release()

    calls = [threads.submit(lambda: bridge.run(wait())) for _ in range(4)]
    for _ in calls:
        await entered.acquire()
    bridge.unbind()
    for call in calls:
        with pytest.raises(RuntimeError, match="stopped before the call was done"):
            await asyncio.wrap_future(call)
        await ended.acquire()  # the work on the loop is cancelled too


def test_a_call_that_waits_ends_with_a_loop_that_is_closed_without_a_stop(
    bridge: LoopBridge, threads: ThreadPoolExecutor
) -> None:
    loop = asyncio.new_event_loop()

    async def until_it_waits() -> Future[None]:
        bridge.bind(loop)
        entered = asyncio.Event()

        async def wait() -> None:
            entered.set()
            await asyncio.Event().wait()

        call = threads.submit(lambda: bridge.run(wait()))
        await entered.wait()
        return call

    call = loop.run_until_complete(until_it_waits())
    with pytest.raises(TimeoutError):
        call.result(0.01)  # nothing is lost between two runs of a loop
    tasks = asyncio.all_tasks(loop)
    for task in tasks:
        task.cancel()
    loop.run_until_complete(asyncio.wait(tasks))
    loop.close()
    with pytest.raises(RuntimeError, match="stopped before"):
        call.result(20)
    with pytest.raises(RuntimeError, match="not running"):
        bridge.run(double(1))


async def test_functions_of_the_work_run_in_the_waiting_thread(bridge: LoopBridge) -> None:
    bridge.bind(asyncio.get_running_loop())

    def call() -> tuple[list[int], int]:
        thread = WaitingThread()

        def nested() -> int:
            return bridge.run(double(threading.get_ident()))  # a function may itself wait for the loop

        def fail() -> None:
            raise LookupError("of a function")

        async def work() -> list[int]:
            loop = asyncio.get_running_loop()
            first = await loop.run_in_executor(thread, threading.get_ident)
            with pytest.raises(LookupError, match="of a function"):
                await loop.run_in_executor(thread, fail)
            return [first, await loop.run_in_executor(thread, nested)]

        return bridge.run(work(), thread), threading.get_ident()

    idents, ident = await asyncio.to_thread(call)
    assert idents == [ident, 2 * ident] and ident != threading.get_ident()
    bridge.unbind()


async def test_a_function_that_comes_after_the_end_is_never_called(bridge: LoopBridge) -> None:
    bridge.bind(asyncio.get_running_loop())
    calls: list[str] = []

    def call(thread: WaitingThread) -> int:
        return bridge.run(double(1), thread)

    thread = WaitingThread()
    assert await asyncio.to_thread(call, thread) == 2
    late = thread.submit(calls.append, "late")
    assert late.cancel() and not calls
    bridge.unbind()


async def test_a_thread_with_its_own_running_loop_may_call(bridge: LoopBridge) -> None:
    bridge.bind(asyncio.get_running_loop())

    async def elsewhere() -> int:
        with pytest.raises(RuntimeError, match="another thread or event loop"):
            bridge.check()
        return bridge.run(double(4))

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == 8
    bridge.check()
    bridge.unbind()


async def test_many_threads_may_call_at_once(bridge: LoopBridge, threads: ThreadPoolExecutor) -> None:
    bridge.bind(asyncio.get_running_loop())

    def call(number: int) -> int:
        return sum(bridge.run(double(number)) for _ in range(50))

    calls = [asyncio.wrap_future(threads.submit(call, number)) for number in range(4)]
    assert await asyncio.gather(*calls) == [100 * number for number in range(4)]
    bridge.unbind()


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
async def test_the_loop_does_not_run_in_a_forked_process(bridge: LoopBridge) -> None:
    bridge.bind(asyncio.get_running_loop())
    assert bridge.running and not bridge.forked
    assert in_child(lambda: bridge.forked and not bridge.running)


def in_child(check: Callable[[], bool]) -> bool:
    """The answer in a forked process."""
    fork = multiprocessing.get_context("fork")
    reading, writing = fork.Pipe(duplex=False)
    child = fork.Process(target=lambda: writing.send(check()))
    child.start()
    answer: bool = reading.recv()
    child.join()
    return answer
