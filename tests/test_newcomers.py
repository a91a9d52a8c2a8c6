"""Clients that have yet to say who they are, on a wheel that is turned by hand."""

from __future__ import annotations

import asyncio

from asgi_realtime.tasks import TimerWheel
from asgi_realtime.websocket.newcomers import Newcomers
from tests.waiting import until


class Newcomer:
    def __init__(self) -> None:
        self.told = 0

    def token_due(self) -> None:
        self.told += 1


async def test_whose_time_is_over_is_told_once_and_nobody_else() -> None:
    newcomers = Newcomers(TimerWheel(tick=1), 10)
    now = asyncio.get_running_loop().time()
    early, sent, late = Newcomer(), Newcomer(), Newcomer()
    newcomers.add(early)
    newcomers.add(sent)
    newcomers.discard(sent)
    deadline = newcomers.due(now)
    assert deadline is not None and now + 10 <= deadline < now + 20
    assert early.told == 0
    assert newcomers.due(deadline + 1) is None
    newcomers.add(late)
    assert (early.told, sent.told, late.told) == (1, 0, 0)
    assert newcomers.due(deadline + 100) is None
    assert (early.told, sent.told, late.told) == (1, 0, 1)


async def test_who_comes_after_all_were_told_is_told_too() -> None:
    wheel = TimerWheel(tick=0.01)
    newcomers = Newcomers(wheel, 0.01)
    for _ in range(3):
        newcomer = Newcomer()
        newcomers.add(newcomer)
        await until(lambda newcomer=newcomer: newcomer.told == 1)  # type: ignore[misc]
    wheel.close()
