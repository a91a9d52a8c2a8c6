"""A way to move the event loop's clock forward."""

from __future__ import annotations

import asyncio


class Clock:
    """Moves the time of an event loop: timers that are due by then are called in its next turn."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._offset = 0.0
        actual = loop.time
        loop.time = lambda: actual() + self._offset  # type: ignore[method-assign]

    def move(self, seconds: float) -> None:
        """Let so many seconds have passed."""
        self._offset += seconds
