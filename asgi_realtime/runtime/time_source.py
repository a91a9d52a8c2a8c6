"""Where this package reads the time that it decides by: expiry, ages, rates, and the times in its messages.

Code calls `time_source.monotonic()` and `time_source.wall()`, through the module, because a test replaces both (see
`asgi_realtime.testing.Clock`). Timers and deadlines use the time of the event loop, which such a test replaces too.
Measurements of how long something took read `time` directly: they are right whatever the test does.
"""

from __future__ import annotations

import time
from collections.abc import Callable

monotonic: Callable[[], float] = time.monotonic
"""Seconds, never backwards. Equal to the time of the event loop."""
wall: Callable[[], float] = time.time
"""Seconds since the epoch."""


def read_monotonic() -> float:
    """Call `monotonic` as it is now. For a default argument, which would keep the function of the start."""
    return monotonic()


def read_wall() -> float:
    """Call `wall` as it is now. For a default argument."""
    return wall()


def replace(*, by_monotonic: Callable[[], float], by_wall: Callable[[], float]) -> None:
    """Read the time from these functions, until `restore`.

    Raises:
        RuntimeError: the time is read from other functions already.
    """
    global monotonic, wall
    if monotonic is not time.monotonic:
        raise RuntimeError("another test clock is in use; a process has one time")
    monotonic, wall = by_monotonic, by_wall


def restore() -> None:
    """Read the time of the system again."""
    global monotonic, wall
    monotonic, wall = time.monotonic, time.time
