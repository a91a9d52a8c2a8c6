"""Measure whether a client that does not read delays others: the same room without and with such a client, in turn.

The kernel first buffers some megabytes for such a client. Until its buffers are full, the server does
not notice. So that much is sent before a window begins. In the window the server buffers what it
sends, until the window ends or the client is disconnected.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks.catalogue import System
from benchmarks.generator import Delivered, Generator
from benchmarks.plan import STALLED_TEXT_BYTES, Figures, Plan
from benchmarks.server import Server

_STEP = 8
"""Broadcasts between two checks of the kernel's buffers."""
_WARM_UP = 10
"""Steps before the first window: the buffers of sockets and the history of the server stop growing."""
_LOOK_SECONDS = 0.2


class _Window(NamedTuple):
    delivered: Delivered
    memory: float
    """The maximum in KB."""


def beside_stalled(system: System, plan: Plan, server: Server, load: Generator) -> Iterator[Figures]:
    """The figures of each window with a client that does not read, and of the window without one before it."""
    load.connect(plan.stalled_among)
    for _ in range(_WARM_UP):
        load.broadcast(_STEP, 0, STALLED_TEXT_BYTES)
    before, deadline = server.settled_memory(), time.monotonic() + plan.stalled_seconds
    while time.monotonic() < deadline:
        alone = _window(plan, server, load).delivered
        figures = {"stalled p50 without": alone.p50, "stalled p99 without": alone.p99}
        if not system.waits_for_stalled:
            load.stall(1)
            _fill_kernel(server, load)
            beside, memory = _window(plan, server, load)
            outcome = load.wake_stalled()
            figures |= {
                "stalled MB": (memory - before) / 1024,
                "stalled cut": outcome.cut / outcome.stalled,
                "stalled p50": beside.p50,
                "stalled p99": beside.p99,
                "stalled p99 ratio": beside.p99 / alone.p99,
            }
        yield figures


def _fill_kernel(server: Server, load: Generator) -> None:
    """Send until the kernel's buffers for the client that does not read are full."""
    held = -1
    while (now := server.unsent()) > held:
        held = now
        load.broadcast(_STEP, 0, STALLED_TEXT_BYTES)


def _window(plan: Plan, server: Server, load: Generator) -> _Window:
    # Memory is read in both kinds of window, because reading it takes time from the server.
    load.ask(f"pace {plan.stalled_rate} {plan.stalled_window} {STALLED_TEXT_BYTES}")
    most = server.memory()
    while not load.answers_within(_LOOK_SECONDS):
        most = max(most, server.memory())
    return _Window(load.answer(Delivered), max(most, server.memory()))
