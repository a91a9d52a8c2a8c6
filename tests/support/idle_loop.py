"""An event loop that tells when nothing is left to do."""

from __future__ import annotations

import asyncio
import selectors
from typing import Any


class _IdleSelector(selectors.DefaultSelector):
    """The loop asks it to wait when no callback is ready. Then the loop is idle."""

    def __init__(self) -> None:
        super().__init__()
        self.waiting: list[asyncio.Future[None]] = []

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout != 0 and self.waiting:
            waiting, self.waiting = self.waiting, []
            for each in waiting:
                each.set_result(None)
            timeout = 0
        return super().select(timeout)


class IdleLoop(asyncio.SelectorEventLoop):
    """For tests without sockets and threads, whose work is not seen here."""

    def __init__(self) -> None:
        self.idle_selector = _IdleSelector()
        super().__init__(self.idle_selector)


async def settle() -> None:
    """Return when everything has happened that needs no time: only timers are left. Needs an `IdleLoop`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, IdleLoop)
    idle = loop.create_future()
    loop.idle_selector.waiting.append(idle)
    await idle
