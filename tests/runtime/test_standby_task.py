"""Standby tasks: the first step of a handler runs as the task that resumes it, and sees an ordinary task."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Coroutine
from typing import Any

import anyio
import anyio.lowlevel
import pytest
import uvloop

from asgi_realtime.limits import Limits
from asgi_realtime.runtime.coroutines import resume
from asgi_realtime.runtime.inbox import Inbox, Pending
from asgi_realtime.runtime.tasks import Tasks


def eager_loop() -> asyncio.AbstractEventLoop:
    """A loop whose tasks run their first step when they are created (Python 3.12)."""
    loop = asyncio.new_event_loop()
    loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009
    return loop


LOOPS: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop, uvloop.new_event_loop]
if sys.version_info >= (3, 12):
    LOOPS.append(eager_loop)
Loop = Callable[[], asyncio.AbstractEventLoop]
any_loop = pytest.mark.parametrize("loop", LOOPS, ids=lambda loop: f"{loop.__module__}.{loop.__name__}")
from_where = pytest.mark.parametrize("inside", [False, True], ids=["from a callback", "from a task"])
how_old = pytest.mark.parametrize("fresh", [True, False], ids=["a new task", "one that waits"])


class Scene:
    """An inbox in a running loop."""

    def __init__(self) -> None:
        self.tasks = Tasks()
        self.log: list[Any] = []
        self.inbox = Inbox(self.tasks, Limits())

    def begin(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a coroutine as the inbox starts an event handler."""

        def work() -> Pending:
            coroutine = function()
            try:
                return resume(coroutine, coroutine.send(None))
            except StopIteration:
                return None

        self.inbox.begin(work)

    async def begin_from(self, function: Callable[[], Coroutine[Any, Any, None]], *, inside: bool) -> None:
        """The same, from a task or from a callback of the loop."""
        if inside:
            before = asyncio.current_task()
            self.begin(function)
            assert asyncio.current_task() is before
            return
        called = asyncio.get_running_loop().create_future()

        def callback() -> None:
            self.begin(function)
            called.set_result(asyncio.current_task())

        asyncio.get_running_loop().call_soon(callback)
        assert await called is None

    async def warm(self) -> None:
        """Keep a standby task that was created earlier."""
        self.inbox.begin(lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def play(loop: Loop, scenario: Callable[[Scene], Coroutine[Any, Any, None]]) -> None:
    async def run() -> None:
        scene = Scene()
        async with asyncio.timeout(10):
            await scenario(scene)
            await scene.tasks.aclose()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    with asyncio.Runner(loop_factory=loop, debug=loop is asyncio.new_event_loop) as runner:
        runner.run(run())


@any_loop
@from_where
@how_old
def test_the_task_is_the_same_before_and_after(loop: Loop, inside: bool, fresh: bool) -> None:
    async def scenario(scene: Scene) -> None:
        async def handler() -> None:
            scene.log.append(asyncio.current_task())
            async with asyncio.timeout(5), asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
                scene.log.append(asyncio.current_task())
            await asyncio.sleep(0)
            with anyio.fail_after(5):
                await anyio.sleep(0.001)
            scene.log.append(asyncio.current_task())

        if not fresh:
            await scene.warm()
        await scene.begin_from(handler, inside=inside)
        assert len(scene.tasks) == 1
        await scene.tasks.until_idle()
        assert len(scene.log) == 3 and len(set(scene.log)) == 1
        assert scene.log[0] not in (None, asyncio.current_task())

    play(loop, scenario)


@any_loop
@from_where
def test_waiting_handlers_have_different_tasks(loop: Loop, inside: bool) -> None:
    async def scenario(scene: Scene) -> None:
        async def handler() -> None:
            scene.log.append(asyncio.current_task())
            await asyncio.sleep(0)

        for _ in range(3):
            scene.inbox = Inbox(scene.tasks, Limits())
            await scene.begin_from(handler, inside=inside)
        await scene.tasks.until_idle()
        assert len(set(scene.log)) == 3

    play(loop, scenario)


@any_loop
@how_old
def test_a_handler_may_be_cancelled_right_after_its_first_step(loop: Loop, fresh: bool) -> None:
    """Cancelling the task cancels what it awaits. The handler may clean up, and may await during that."""

    async def scenario(scene: Scene) -> None:
        forever = asyncio.get_running_loop().create_future()

        async def handler() -> None:
            scene.log.append(asyncio.current_task())
            try:
                await forever
            except asyncio.CancelledError as error:
                await asyncio.sleep(0)
                scene.log.append(error.args)
                raise

        if not fresh:
            await scene.warm()
        scene.begin(handler)
        task = scene.log.pop()
        task.cancel("enough")
        assert task.cancelling() == 1
        await asyncio.wait([task])
        assert task.cancelled()
        assert forever.cancelled()
        assert scene.log == [("enough",)]

    play(loop, scenario)


@any_loop
@how_old
@pytest.mark.parametrize("waits", ["for nothing", "for what is done"])
def test_a_handler_is_cancelled_in_a_wait_that_is_about_to_end(loop: Loop, fresh: bool, waits: str) -> None:
    async def scenario(scene: Scene) -> None:
        done = asyncio.get_running_loop().create_future()

        async def handler() -> None:
            scene.log.append(asyncio.current_task())
            try:
                await (asyncio.sleep(0) if waits == "for nothing" else done)
            finally:
                scene.log.append(sys.exc_info()[0])

        if not fresh:
            await scene.warm()
        scene.begin(handler)
        done.set_result(None)
        task = scene.log.pop()
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled()
        assert scene.log == [asyncio.CancelledError]

    play(loop, scenario)


@any_loop
@how_old
def test_a_handler_that_catches_its_cancellation_continues(loop: Loop, fresh: bool) -> None:
    async def scenario(scene: Scene) -> None:
        async def handler() -> None:
            task = asyncio.current_task()
            assert task is not None
            scene.log.append(task)
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                scene.log.append(task.uncancel())
            await asyncio.sleep(0)
            scene.log.append("continues")

        if not fresh:
            await scene.warm()
        scene.begin(handler)
        scene.log[0].cancel()
        await scene.tasks.until_idle()
        assert scene.log[1:] == [0, "continues"]
        assert not scene.log[0].cancelled()

    play(loop, scenario)


@any_loop
@how_old
@pytest.mark.parametrize("seconds", [0, -1, 0.01])
def test_a_timeout_begun_in_the_first_step_holds_in_later_steps(loop: Loop, fresh: bool, seconds: float) -> None:
    async def scenario(scene: Scene) -> None:
        async def handler() -> None:
            try:
                async with asyncio.timeout(seconds):
                    await asyncio.Event().wait()
            except TimeoutError:
                scene.log.append("timed out")
            await asyncio.sleep(0)
            scene.log.append("continues")

        if not fresh:
            await scene.warm()
        scene.begin(handler)
        await scene.tasks.until_idle()
        assert scene.log == ["timed out", "continues"]

    play(loop, scenario)


@any_loop
@how_old
def test_anyio_cancels_in_the_first_step_too(loop: Loop, fresh: bool) -> None:
    async def scenario(scene: Scene) -> None:
        async def handler() -> None:
            with anyio.CancelScope() as scope:
                scope.cancel()
                await anyio.sleep_forever()
            scene.log.append(scope.cancelled_caught)
            await anyio.lowlevel.checkpoint()
            scene.log.append("continues")

        if not fresh:
            await scene.warm()
        scene.begin(handler)
        await scene.tasks.until_idle()
        assert scene.log == [True, "continues"]

    play(loop, scenario)


@any_loop
@how_old
@pytest.mark.parametrize("how", ["and ends", "and fails", "and waits", "and takes it back"])
def test_a_handler_that_cancels_its_task_cancels_no_other(loop: Loop, fresh: bool, how: str) -> None:
    async def scenario(scene: Scene) -> None:
        async def handler() -> None:
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            if how == "and fails":
                raise asyncio.CancelledError
            if how == "and waits":
                try:
                    await asyncio.Event().wait()
                finally:
                    scene.log.append("was cancelled")
            if how == "and takes it back":
                task.uncancel()

        async def another() -> None:
            await asyncio.sleep(0)
            scene.log.append("continues")

        if not fresh:
            await scene.warm()
        scene.begin(handler)
        scene.inbox = Inbox(scene.tasks, Limits())
        scene.begin(another)
        await scene.tasks.until_idle()
        if not fresh:
            await scene.warm()
        scene.begin(handler)
        for _ in range(5):
            await asyncio.sleep(0)
        scene.begin(another)
        await scene.tasks.until_idle()
        assert [entry for entry in scene.log if entry != "was cancelled"] == ["continues", "continues"]
        assert ("was cancelled" in scene.log) is (how == "and waits")

    play(loop, scenario)


@any_loop
@how_old
def test_cancelling_every_task_cancels_no_later_work(loop: Loop, fresh: bool) -> None:
    async def scenario(scene: Scene) -> None:
        async def handler() -> None:
            await asyncio.sleep(0)
            scene.log.append("done")

        if fresh:
            scene.inbox.begin(lambda: None)
        else:
            await scene.warm()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        scene.begin(handler)
        await scene.tasks.until_idle()
        await asyncio.sleep(0)
        scene.begin(handler)
        await scene.tasks.until_idle()
        assert scene.log == ["done", "done"]

    play(loop, scenario)


@any_loop
@pytest.mark.parametrize("closes", [True, False], ids=["closed in between", "left behind"])
def test_standby_tasks_work_on_one_event_loop_after_another(loop: Loop, closes: bool) -> None:
    scene = Scene()

    async def run() -> None:
        scene.inbox = Inbox(scene.tasks, Limits())

        async def handler() -> None:
            task = asyncio.current_task()
            await asyncio.sleep(0)
            scene.log.append(task is asyncio.current_task())

        scene.inbox.begin(lambda: None)
        scene.begin(handler)
        await scene.tasks.until_idle()
        scene.inbox.begin(lambda: None)
        if closes:
            await scene.tasks.aclose()

    with asyncio.Runner(loop_factory=loop) as first, asyncio.Runner(loop_factory=loop) as second:
        first.run(run())
        second.run(run())
    assert scene.log == [True, True]


@any_loop
def test_system_exit_in_a_handler_is_raised_and_later_handlers_run(loop: Loop) -> None:
    async def scenario(scene: Scene) -> None:
        def leave() -> Pending:
            raise SystemExit(3)

        before = asyncio.current_task()
        with pytest.raises(SystemExit):
            scene.inbox.begin(leave)
        assert asyncio.current_task() is before
        scene.inbox.begin(lambda: scene.log.append("next"))
        assert scene.log == ["next"]

    play(loop, scenario)
