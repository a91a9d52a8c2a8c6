"""Hearing that the server is about to stop while its requests still wait for us."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
from collections.abc import Callable
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class ShutdownSignals:
    """Calls `stopping` on the event loop when the process is told to stop, then whoever was to be told before.

    Servers end the lifespan only once every request has been answered, and a long-poll is a request
    that waits for us: without this each would wait for the other. Signals that nobody in Python
    handles are left alone, and so is everything outside the main thread.
    """

    def __init__(self, stopping: Callable[[], None]) -> None:
        self._stopping = stopping
        self._before: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def install(self) -> None:
        """Listen, on the running event loop."""
        self._loop = None
        if threading.current_thread() is not threading.main_thread():
            return
        self._loop = asyncio.get_running_loop()
        if self._before:
            return  # an event loop before this one ended without `remove`
        for number in _SIGNALS:
            before = signal.getsignal(number)
            if callable(before):
                self._before[number] = before
                signal.signal(number, self._heard)

    def remove(self) -> None:
        """Put back what was there, where nobody has replaced us."""
        for number, before in self._before.items():
            if signal.getsignal(number) == self._heard:
                signal.signal(number, before)
        self._before.clear()
        self._loop = None

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has closed
                self._loop.call_soon_threadsafe(self._stopping)
        before = self._before.get(number)
        if before is not None:
            before(number, frame)
