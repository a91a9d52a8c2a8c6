"""The targets of this package, and what was measured in the same session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.catalogue import LIMIT, LIMIT_JOINED, NODE, OWN_JSON, OWN_SOCKETIO, PYTHON_SOCKETIO
from benchmarks.results import Results

_STALLED_MB = 2.5
"""For a client that does not read: the limit of the outbox, and what the server's transport buffers."""


class Target(NamedTuple):
    """An upper bound. `measured` and `bound` are None if a figure they depend on was not measured."""

    name: str
    measured: float | None
    bound: float | None

    @property
    def met(self) -> bool | None:
        """Whether the target is met. None: not known."""
        if self.measured is None or self.bound is None:
            return None
        return self.measured <= self.bound


def first_measured(results: Results, names: Sequence[str]) -> str:
    """The first of these systems that was measured, or the last."""
    return next((name for name in names if results.rounds.get(name)), names[-1])


def _times(value: float | None, factor: float) -> float | None:
    return None if value is None else value * factor


def targets(results: Results) -> Iterator[Target]:
    """Compare the measured figures with the bounds."""
    median = results.median
    for dialect, names, inbound, idle in (("Socket.IO", OWN_SOCKETIO, 4.5, 6.0), ("JSON", OWN_JSON, 3.0, 3.0)):
        own, stock = first_measured(results, names), names[-1]
        one, many = median(own, "W1 total"), median(own, "W16 total")
        yield Target(f"{dialect}: W1, user part, µs", median(own, "W1 user"), 0.6)
        yield Target(f"{dialect}: W1, 1.15 × C", one, _times(median(LIMIT, "W1 total"), 1.15))
        yield Target(f"{dialect}: W1, Node socket.io / 1.7", one, _times(median(NODE, "W1 total"), 1 / 1.7))
        yield Target(f"{dialect}: W1, python-socketio / 8", one, _times(median(PYTHON_SOCKETIO, "W1 total"), 1 / 8))
        yield Target(f"{dialect}: W16, 2 × C joined", many, _times(median(LIMIT_JOINED, "W16 total"), 2))
        yield Target(f"{dialect}: W16, Node socket.io / 9", many, _times(median(NODE, "W16 total"), 1 / 9))
        yield Target(
            f"{dialect}: W16, python-socketio / 50", many, _times(median(PYTHON_SOCKETIO, "W16 total"), 1 / 50)
        )
        for part in ("p50", "p99"):
            paced = median(own, f"paced {part}")
            yield Target(f"{dialect}: paced {part}, 1.3 × C, ms", paced, _times(median(LIMIT, f"paced {part}"), 1.3))
        yield Target(f"{dialect}: KB per idle connection at 5000", median(own, "KB per connection at 5000"), idle)
        yield Target(f"{dialect}: inbound event, µs", median(own, "inbound total"), inbound)
        handshake = median(NODE, "handshake total")
        yield Target(f"{dialect}: handshake, JWT checked, Node socket.io", median(own, "handshake total"), handshake)
        yield Target(f"{dialect}: a client that does not read, MB held", median(own, "stalled MB"), _STALLED_MB)
        cut = results.spread(own, "stalled cut")
        yield Target(
            f"{dialect}: a client that does not read, share not disconnected", None if cut is None else 1 - cut.low, 0
        )
        ratio = median(own, "stalled p99 ratio")
        yield Target(f"{dialect}: p99 of the others, with : without a client that does not read", ratio, 1.1)
        stock_one = median(stock, "W1 total")
        yield Target(f"{dialect}: stock uvicorn, W1, 1.3 × C", stock_one, _times(median(LIMIT, "W1 total"), 1.3))
        grown = _growth(results, LIMIT)
        yield Target(f"{dialect}: growth, W1 at 10000 : at 100, 1.3 × C", _growth(results, own), _times(grown, 1.3))


def _growth(results: Results, system: str) -> float | None:
    """How much more one delivery costs in a large room. The kernel's part grows too, as caches overflow."""
    few, many = results.median(system, "W1 at 100 total"), results.median(system, "W1 at 10000 total")
    return many / few if few and many else None
