"""Waiting for what nobody announces."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, seconds: float = 5.0) -> None:
    """Return as soon as the condition holds.

    Raises:
        TimeoutError: if it does not within `seconds`.
    """
    async with asyncio.timeout(seconds):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)
