"""The tasks of this package begin after the call that makes them, also under a task factory of the host."""

from __future__ import annotations

import ast
import asyncio
import contextvars
from pathlib import Path
from typing import Any

from asgi_realtime.runtime.coroutines import resume
from asgi_realtime.runtime.new_task import new_task
from asgi_realtime.runtime.tasks import Tasks
from tests.support.paths import PACKAGE

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("NAME", default="nothing")


def first_step_at_once(loop: asyncio.AbstractEventLoop, work: Any, **options: Any) -> asyncio.Task[Any]:
    """A task factory that runs the first step within the call, as `asyncio.eager_task_factory` of Python 3.12 does."""
    waiting = work.send(None)

    async def rest() -> Any:
        return await resume(work, waiting)

    return asyncio.Task(rest(), loop=loop)


async def test_a_task_begins_after_the_call_under_a_factory_that_begins_at_once() -> None:
    tasks, begun = Tasks(), []

    async def work() -> None:
        begun.append(asyncio.current_task())
        await asyncio.sleep(0)  # it has a second step, so that the eager one has not ended at once

    loop = asyncio.get_running_loop()
    loop.set_task_factory(first_step_at_once)
    try:
        eager = loop.create_task(work())
        assert len(begun) == 1, "the factory does not begin at once"
        task = tasks.spawn(work(), name="work")
        assert len(begun) == 1
    finally:
        loop.set_task_factory(None)
    await asyncio.wait([eager, task])
    assert begun[1:] == [task]


async def test_a_task_has_its_name_and_its_context() -> None:
    async def read() -> str:
        return NAME.get()

    NAME.set("of the caller")
    named, other = new_task(read(), name="reader"), new_task(read(), context=contextvars.Context())
    NAME.set("of a later caller")
    assert (named.get_name(), await named, await other) == ("reader", "of the caller", "nothing")


async def test_a_standby_task_knows_no_context_variable_of_its_maker() -> None:
    tasks, found = Tasks(), []

    async def read() -> None:
        found.append(NAME.get())

    NAME.set("of the maker")
    tasks.standby.start(read())
    await tasks.until_idle()
    assert found == ["nothing"]


MAKERS = {"create_task", "ensure_future", "run_coroutine_threadsafe", "TaskGroup", "create_task_group", "Task"}
"""Names by which code makes tasks."""


def makers(path: Path) -> set[str]:
    """The names of `MAKERS` that a module calls."""
    calls = [node.func for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Call)]
    names = {each.attr if isinstance(each, ast.Attribute) else ast.unparse(each) for each in calls}
    return names & MAKERS


def test_one_module_makes_all_tasks() -> None:
    found = {path.relative_to(PACKAGE).as_posix(): makers(path) for path in PACKAGE.rglob("*.py")}
    assert {module: names for module, names in found.items() if names} == {
        "runtime/new_task.py": {"Task"},
        # Its work may be any awaitable. It stores no task, so the work may begin within the call.
        "redis/reconnecting_link.py": {"ensure_future"},
    }


def test_every_way_to_make_a_task_is_found(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    for code in ("create_task(x)", "loop().create_task(x)", "asyncio.ensure_future(x)", "asyncio.Task(x)"):
        program.write_text(f"def f(): return [{code}]\n", "utf-8")
        assert makers(program), code
