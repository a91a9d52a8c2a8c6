"""Clocks that tests move."""

from __future__ import annotations

import asyncio


class Clock:
    """Moves the time of an event loop: timers that are due by then are called in its next turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._offset = 0.0
        actual = loop.time
        loop.time = lambda: actual() + self._offset  # type: ignore[method-assign]

    def move(self, seconds: float) -> None:
        """Move the time forward at once."""
        self._offset += seconds

    async def pass_time(self, seconds: float, *, steps: int = 20) -> None:
        """Move the time forward in steps. After each, due timers run, including new ones."""
        for _ in range(steps):
            self.move(seconds / steps)
            for _ in range(3):  # a timer's callback runs in the turn after the move, and may schedule another callback
                await asyncio.sleep(0)


class ManualClock:
    """A clock to pass as an argument. It returns `now`, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now
