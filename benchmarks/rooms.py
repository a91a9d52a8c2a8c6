"""Measure broadcasts to small rooms: many connections, each in some rooms that have few members."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.accounting import accounted, per_item
from benchmarks.catalogue import Target
from benchmarks.generator import Generator
from benchmarks.plan import ROOM_MEMBERS, ROOMS_EACH, TEXT_BYTES, Figures, Plan
from benchmarks.server import Server

_FIRST_SECONDS = 0.2


def small_rooms(plan: Plan, server: Server, load: Generator) -> Iterator[Figures]:
    """The figures of each window, for each size of the rooms.

    The clients stay in the rooms that were measured before. All of them are also in the room of all clients.
    """
    load.connect(plan.rooms_clients)
    for members in plan.room_sizes:
        load.enter(ROOMS_EACH, members)
        load.target("rooms", 16, _FIRST_SECONDS, TEXT_BYTES)
        for _ in range(plan.windows if members == ROOM_MEMBERS else 1):
            for width in (1, 16):
                yield targeted(server, load, "rooms", f"rooms of {members} W{width}", width, plan.seconds / 2)


def targeted(server: Server, load: Generator, kind: Target, name: str, width: int, seconds: float) -> Figures:
    """Messages to random rooms, users or connections: what one costs, and what one delivery costs."""
    done, used = accounted(server, lambda: load.target(kind, width, seconds, TEXT_BYTES))
    figures = {f"{name} broadcast": used.total / done.messages * 1e6, f"{name} p50": done.p50, f"{name} p99": done.p99}
    return figures | per_item(name, used, done.deliveries)
