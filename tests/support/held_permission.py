"""A permission that the host gives once the test allows it."""

from __future__ import annotations

import asyncio


class HeldPermission:
    """For `allowed=` of a join: returns True once `answer` is set. `asked` is set by the call."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def __call__(self) -> bool:
        self.asked.set()
        await self.answer.wait()
        return True
