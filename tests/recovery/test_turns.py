"""Clients that return at the same time go on a few at a time, in their order."""

from __future__ import annotations

import asyncio

from asgi_realtime.recovery.turns import Turns


async def test_few_are_in_the_step_in_one_turn_of_the_event_loop() -> None:
    turns, done = Turns(limit=2), list[int]()

    async def step(number: int) -> None:
        async with turns:
            done.append(number)

    tasks = [asyncio.create_task(step(number)) for number in range(7)]
    seen = list[int]()
    while len(done) < len(tasks):
        before = len(done)
        await asyncio.sleep(0)
        seen.append(len(done) - before)
    assert done == list(range(7))
    assert max(seen) == 2
    await asyncio.gather(*tasks)


async def test_one_that_waits_in_the_step_takes_no_more_than_its_own_place() -> None:
    turns, forever, done = Turns(limit=2), asyncio.Event(), list[int]()

    async def wait() -> None:
        async with turns:
            await forever.wait()

    async def step(number: int) -> None:
        async with turns:
            done.append(number)

    waiting = asyncio.create_task(wait())
    await asyncio.gather(*[step(number) for number in range(5)])
    assert done == list(range(5))
    assert not waiting.done()
    forever.set()
    await waiting


async def test_one_that_gives_up_takes_no_turn() -> None:
    turns, forever = Turns(limit=1), asyncio.Event()

    async def wait() -> None:
        async with turns:
            await forever.wait()

    tasks = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    tasks[0].cancel()
    await asyncio.wait(tasks[:2])
    forever.set()
    await asyncio.wait_for(tasks[2], 10)


async def test_without_others_nothing_is_awaited() -> None:
    turns = Turns()
    entering = turns.__aenter__()
    try:
        entering.send(None)
    except StopIteration:
        return
    raise AssertionError("it waits")
