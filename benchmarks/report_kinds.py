"""The tables of other ways to send, and of larger messages."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.kinds import WAYS
from benchmarks.results import Results
from benchmarks.tables import measured, of, rows, table


def other_kinds(results: Results) -> Iterator[str]:
    """The cost of other ways to send, if it was measured."""
    if not any(results.median(system, "broadcast W1 total") for system in measured(results)):
        return
    yield (
        "**Other kinds of broadcasts.** Volatile ones, and those that leave out one client (each time another one), in "
        "the same room. Processor time in µs for a delivery of an ordinary broadcast, and that of the others as a "
        "multiple of it in the same process. burst16: sixteen broadcasts that the server begins at once."
    )
    kinds = (("volatile", "volatile"), ("except", "`except_`"))
    yield table(
        ("system", *WAYS, *(f"{name} {way}" for _, name in kinds for way in WAYS)),
        rows(
            results,
            *(of(results, f"broadcast {way} total") for way in WAYS),
            *(of(results, f"{kind} {way} ratio") for kind, _ in kinds for way in WAYS),
        ),
    )
    yield (
        f"**Messages to one client.** Processor time in µs for a message to one of {results.plan.clients} clients: one "
        "or sixteen for each HTTP request, with its share of the request. To a room that has only this member; to a "
        "user (`broadcast_to_user`); to a connection (`connection.send`)."
    )
    yield table(
        ("system", *(f"{target} W{width}" for target in ("room", "user", "connection") for width in (1, 16))),
        rows(
            results,
            *(
                of(results, f"to {target} W{width} total")
                for target in ("rooms", "users", "connections")
                for width in (1, 16)
            ),
        ),
    )
    sizes = results.plan.payloads
    yield "**Larger messages.** Processor time in µs for a delivery, W1, by the size of the text."
    yield table(
        ("system", *(f"{size // 1024} KB" for size in sizes)),
        rows(results, *(of(results, f"W1 of {size} bytes total") for size in sizes)),
    )
