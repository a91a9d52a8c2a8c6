"""Measure other ways to send: volatile broadcasts, those that leave out one client, messages to one client, large ones.

All are measured in turn with ordinary broadcasts, in one process.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from benchmarks.accounting import accounted, per_item
from benchmarks.catalogue import Kind, System
from benchmarks.generator import Generator
from benchmarks.plan import TEXT_BYTES, Figures, Plan
from benchmarks.rooms import targeted
from benchmarks.server import Server

WAYS = {"W1": (1, 1), "W16": (16, 1), "burst16": (16, 16)}
"""How many broadcasts are in flight, and how many of them the server begins at once."""
_FIRST_SECONDS = 0.2


def other_kinds(system: System, plan: Plan, server: Server, load: Generator) -> Iterator[Figures]:
    """The figures of each window. The server knows each client by a room of its own."""
    load.connect(plan.clients)
    load.enter(1, 1)
    load.broadcast(16, _FIRST_SECONDS, TEXT_BYTES)
    seconds = plan.seconds / 4
    for _ in range(plan.windows):
        plain = _broadcasts(server, load, "broadcast", seconds)
        yield plain
        for kind in system.kinds:
            figures = _broadcasts(server, load, kind, seconds)
            for way in WAYS:
                figures[f"{kind} {way} ratio"] = figures[f"{kind} {way} total"] / plain[f"broadcast {way} total"]
            yield figures
        for target in ("rooms", *system.targets):
            for width in (1, 16):
                yield targeted(server, load, target, f"to {target} W{width}", width, seconds)
    for size in plan.payloads:
        done, used = accounted(server, partial(load.broadcast, 1, seconds, size))
        yield per_item(f"W1 of {size} bytes", used, done.deliveries)


def _broadcasts(server: Server, load: Generator, kind: Kind, seconds: float) -> Figures:
    figures = Figures()
    for way, (width, together) in WAYS.items():
        work = partial(load.broadcast, width, seconds, TEXT_BYTES, kind=kind, together=together)
        done, used = accounted(server, work)
        figures |= per_item(f"{kind} {way}", used, done.deliveries)
    return figures
