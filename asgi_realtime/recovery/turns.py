"""The turns of clients that return at the same time."""

from __future__ import annotations

import asyncio
from typing import Final

AT_A_TIME: Final = 4
"""Clients that are in a step at a time. Each may read its missed events, which takes up to a millisecond."""


class Turns:
    """Lets few of the clients that return at the same time be in a step: `async with turns`. They keep their order.

    One that leaves it makes room in the next turn of the event loop. So a process that takes in the clients of another
    one serves its own clients in between, and reads the answers of Redis in time. Nothing is awaited if few clients
    return.
    """

    def __init__(self, *, limit: int = AT_A_TIME) -> None:
        self._free = asyncio.Semaphore(limit)

    async def next(self) -> None:
        """Return when it is this client's turn. What it does then takes no place, if it waits for others."""
        async with self:
            pass

    async def __aenter__(self) -> None:
        await self._free.acquire()

    async def __aexit__(self, *error: object) -> None:
        asyncio.get_running_loop().call_soon(self._free.release)
