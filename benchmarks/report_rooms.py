"""The tables of small rooms."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.catalogue import LIMIT
from benchmarks.plan import ROOM_MEMBERS, ROOMS_EACH
from benchmarks.results import Results
from benchmarks.tables import measured, of, ratio, rows, table


def small_rooms(results: Results) -> Iterator[str]:
    """The cost of broadcasts to small rooms, if it was measured."""
    name, plan = f"rooms of {ROOM_MEMBERS}", results.plan
    if not any(results.median(system, f"{name} W16 total") for system in measured(results)):
        return
    yield (
        f"**Small rooms.** {plan.rooms_clients} clients, each in {ROOMS_EACH} rooms of {ROOM_MEMBERS}. Broadcasts to "
        "random rooms. W1: one broadcast for each HTTP request, and the next when all members have it. W16: sixteen "
        "broadcasts for each request. Processor time in µs for a broadcast, with its share of the request, and for a "
        "delivery; latency in ms."
    )
    head = ("broadcast", "delivery", "user", "p50", "p99")
    yield table(
        ("system", *(f"W{width} {column}" for width in (1, 16) for column in head), "W16 : C"),
        rows(
            results,
            *(
                of(results, f"{name} W{width} {figure}")
                for width in (1, 16)
                for figure in ("broadcast", "total", "user", "p50", "p99")
            ),
            ratio(results, f"{name} W16 total", LIMIT),
        ),
    )
    sizes = sorted(plan.room_sizes)
    yield "Processor time in µs for a broadcast, by the number of members of the room:"
    yield table(
        ("system", *(f"W{width}, {size}" for width in (1, 16) for size in sizes)),
        rows(results, *(of(results, f"rooms of {size} W{width} broadcast") for width in (1, 16) for size in sizes)),
    )
