from __future__ import annotations

import asyncio

import pytest

from asgi_realtime.runtime.interrupt import Interrupt


async def test_the_result_of_the_awaited_work_is_returned() -> None:
    assert await Interrupt().run(asyncio.sleep(0, "result")) == "result"


async def test_a_wait_can_be_interrupted() -> None:
    interrupt = Interrupt()
    asyncio.get_running_loop().call_soon(interrupt)
    assert await interrupt.run(asyncio.Event().wait()) is None


async def test_a_wait_that_was_interrupted_before_it_began_ends_at_once() -> None:
    interrupt = Interrupt()
    interrupt()
    interrupt()
    assert await interrupt.run(asyncio.Event().wait()) is None


async def test_a_cancelled_wait_stays_cancelled() -> None:
    async def wait() -> None:
        await Interrupt().run(asyncio.Event().wait())

    task = asyncio.create_task(wait())
    asyncio.get_running_loop().call_soon(task.cancel)
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_timeout_inside_the_awaited_work_is_not_an_interrupt() -> None:
    async def impatient() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await Interrupt().run(impatient())
