"""A wait that other code can end. It needs no extra task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Interrupt:
    """Calling an instance ends the current wait in `run`, and every later one."""

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
        """Await `waiting`. Returns None if interrupted. `waiting` must allow cancellation, like an ASGI `receive`."""
        try:
            async with asyncio.timeout(0 if self._called else None) as self._timeout:
                return await waiting
        except TimeoutError:
            if not self._called:
                raise
            return None
        finally:
            self._timeout = None
