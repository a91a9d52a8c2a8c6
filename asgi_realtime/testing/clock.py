"""Time that stands still in a test, and moves when the test says so."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from contextvars import Context
from typing import Any, TypeVarTuple, Unpack

from asgi_realtime.runtime import time_source

Ts = TypeVarTuple("Ts")

_EXACT_STEPS = 2_000
"""Steps of one `advance` that go from timer to timer."""
_COARSE_STEPS = 100
"""Steps in which the rest of the time passes after those."""
_TURNS = 8
"""Turns of the event loop after each step, in which callbacks, tasks and clients react to it."""

_in_use: Clock | None = None
"""The clock of this process."""


class Clock:
    """Time for a test: it stands still, except during `await clock.advance(seconds)`.

    `RealtimeTestClient(app, clock=Clock())` uses it from the end of the app's start until the app begins to stop. It
    replaces the time of the event loop of the test, so it moves every timer on it: those of this package (expiry of
    tokens, grace of presence, heartbeats, recovery), `asyncio.sleep`, `asyncio.timeout` and `loop.call_later` of the
    app and of the test. It also replaces the time by which this package checks tokens, rates, history and `once`, and
    which it writes into messages. `time.time()` and `datetime.now()` of the app are not changed, and threads are not.

    Several clients of one test may share a clock, until the first of their apps stops. A process has at most one clock
    in use.
    """

    def __init__(self) -> None:
        self._loop: asyncio.BaseEventLoop | None = None
        self._users = 0
        self.stands_still = False
        """Whether it is in use, and time does not pass by itself."""
        self._monotonic = self._wall = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()

    @property
    def now(self) -> float:
        """The time, in seconds since the epoch.

        Raises:
            RuntimeError: no app uses this clock at present.
        """
        self._check()
        return self._wall

    async def advance(self, seconds: float) -> None:
        """Let so much time pass at once. Timers that are due run in their order, each at its own time.

        After each, the event loop runs for some turns. What takes longer then, such as a thread or a database, is not
        awaited: expect its result. After 2,000 timers of one call, the rest of the time passes in 100 steps, and timers
        run at the end of theirs.

        Raises:
            ValueError: `seconds` is negative or not finite.
            RuntimeError: no app uses this clock at present, or this is another event loop.
        """
        loop = self._check()
        if not 0 <= seconds < float("inf"):
            raise ValueError(f"seconds must be a number from 0 on, not {seconds}")
        if asyncio.get_running_loop() is not loop:
            raise RuntimeError("the clock moves the time of another event loop")
        end = self._monotonic + seconds
        await _turns()  # what was called just before may set timers
        for _ in range(_EXACT_STEPS):
            self._move_to(min(end, self._next_timer()))
            await _turns()
            if self._monotonic >= end:
                return
        rest = end - self._monotonic
        for step in range(_COARSE_STEPS):
            self._move_to(end - rest * (_COARSE_STEPS - 1 - step) / _COARSE_STEPS)
            await _turns()

    def _move_to(self, monotonic: float) -> None:
        self._wall += monotonic - self._monotonic
        self._monotonic = monotonic

    def _next_timer(self) -> float:
        """The time of the next timer. Without one: infinity."""
        while self._timers:
            due, _, handle = self._timers[0]
            if due > self._monotonic and not handle.cancelled():
                return due
            heapq.heappop(self._timers)
        return float("inf")

    def _check(self) -> asyncio.BaseEventLoop:
        if self._loop is None:
            raise RuntimeError(
                "no app uses this clock: pass it as RealtimeTestClient(app, clock=...), and enter the client"
            )
        return self._loop

    # What RealtimeTestClient calls

    def watch(self) -> None:
        """Note the timers of the running event loop from now on.

        Raises:
            RuntimeError: the loop is not asyncio's own, or another loop or clock is in use.
        """
        global _in_use
        loop = asyncio.get_running_loop()
        if not isinstance(loop, asyncio.BaseEventLoop):
            raise RuntimeError(
                f"the time of a {type(loop).__module__}.{type(loop).__name__} cannot be replaced; "
                "run tests that have a clock on asyncio's own event loop"
            )
        if _in_use is not None and _in_use._check().is_closed():
            _in_use._forget()  # its loop has ended without a stop of the app
        if _in_use is not None and (_in_use is not self or self._loop is not loop):
            raise RuntimeError("another clock or event loop is in use; a process has one time")
        _in_use = self
        self._users += 1
        if self._users > 1:
            return
        self._loop = loop
        set_timer = loop.call_at

        def call_at(
            when: float, callback: Callable[[Unpack[Ts]], object], *args: *Ts, context: Context | None = None
        ) -> asyncio.TimerHandle:
            handle = set_timer(when, callback, *args, context=context)
            heapq.heappush(self._timers, (when, next(self._numbers), handle))
            return handle

        _replace(loop, "call_at", call_at)

    def freeze(self) -> None:
        """Let the time stand still from now on."""
        if self.stands_still:
            return
        loop = self._check()
        self._monotonic, self._wall = loop.time(), time_source.wall()
        self._read_from(lambda: self._monotonic, lambda: self._wall)
        self.stands_still = True

    def thaw(self) -> None:
        """Let the time pass again, from where it is. For an app that stops, and waits for its clients."""
        if not self.stands_still:
            return
        self.stands_still = False
        ahead, wall_ahead = self._monotonic - time.monotonic(), self._wall - time.time()
        self._read_from(lambda: time.monotonic() + ahead, lambda: time.time() + wall_ahead)

    def release(self) -> None:
        """Give the loop its own time back, after the last client. Its remaining timers are late by what has passed."""
        self._users -= 1
        if not self._users:
            loop = self._check()
            self._forget()
            for name in ("time", "call_at"):
                vars(loop).pop(name, None)

    def _forget(self) -> None:
        global _in_use
        time_source.restore()
        self._loop = _in_use = None
        self._users = 0
        self.stands_still = False
        self._timers.clear()

    def _read_from(self, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        time_source.restore()
        time_source.replace(by_monotonic=monotonic, by_wall=wall)
        _replace(self._check(), "time", monotonic)


def stands_still() -> bool:
    """Whether the clock of this process is in use, and time does not pass by itself."""
    return _in_use is not None and _in_use.stands_still


def _replace(loop: asyncio.BaseEventLoop, name: str, by: Callable[..., Any]) -> None:
    # On the instance: other loops of the process keep their time.
    vars(loop)[name] = by


async def _turns() -> None:
    for _ in range(_TURNS):
        await asyncio.sleep(0)  # one turn of the loop
