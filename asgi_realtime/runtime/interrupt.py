"""A wait that somebody else can end, at the price of no task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Interrupt:
    """Calling it ends the wait of `run` that is under way, and every later one."""

    __slots__ = ("_called", "_timeout")

    def __init__(self) -> None:
        self._called = False
        self._timeout: asyncio.Timeout | None = None

    def __call__(self) -> None:
        """End the wait. Later calls do nothing."""
        if not self._called:
            self._called = True
            if self._timeout is not None:
                self._timeout.reschedule(0)

    async def run(self, waiting: Awaitable[T]) -> T | None:
        """Wait; None if it was interrupted. What is awaited must stand being cancelled, as an ASGI `receive` does."""
        try:
            async with asyncio.timeout(0 if self._called else None) as self._timeout:
                return await waiting
        except TimeoutError:
            if not self._called:
                raise
            return None
        finally:
            self._timeout = None
