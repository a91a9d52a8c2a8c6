"""The targets of this package, and what was measured in the same session."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from benchmarks.catalogue import LIMIT, LIMIT_JOINED, NODE, OWN_JSON, OWN_SOCKETIO, SOCKETIOXIDE
from benchmarks.kinds import WAYS
from benchmarks.plan import ROOM_MEMBERS
from benchmarks.results import Results

_STALLED_MB = 2.5
"""For a client that does not read: the limit of the outbox, and what the server's transport buffers."""


_SHORT = {LIMIT: "C", LIMIT_JOINED: "C joined", NODE: "Node"}


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


def targets(results: Results) -> Iterator[Target]:
    """Compare the measured figures with the bounds."""
    for dialect, names, inbound, idle in (("Socket.IO", OWN_SOCKETIO, 0.9, 4.5), ("JSON", OWN_JSON, 0.7, 3.0)):
        protocol_class, stock = names
        yield from _fan_out(results, dialect, protocol_class)
        yield from _connections(results, dialect, protocol_class, _Bounds(inbound, 0.45, idle))
        yield from _stalled(results, dialect, protocol_class)
        yield from _fan_out(results, f"{dialect}, stock uvicorn", stock)
        yield from _connections(results, f"{dialect}, stock uvicorn", stock, _Bounds(1.4, 1.0, 14.0))


class _Bounds(NamedTuple):
    """Of an event and a handshake: multiples of Node's. Of an idle connection: KB."""

    inbound: float
    handshake: float
    idle: float


def _fan_out(results: Results, label: str, own: str) -> Iterator[Target]:
    small = f"rooms of {ROOM_MEMBERS} W16 total"
    yield Target(f"{label}: W1, user part, µs", results.median(own, "W1 user"), 0.45)
    for name, figure, factor, peer in (
        ("W1", "W1 total", 1.1, LIMIT),
        ("W16", "W16 total", 1.5, LIMIT_JOINED),
        ("burst16", "burst16 total", 1.1, LIMIT_JOINED),
        (f"rooms of {ROOM_MEMBERS}, W16", small, 1.7, LIMIT),
        (f"rooms of {ROOM_MEMBERS}, W16", small, 0.8, SOCKETIOXIDE),
        ("paced p50, ms", "paced p50", 1.2, LIMIT),
        ("paced p99, ms", "paced p99", 1.2, LIMIT),
    ):
        yield _against(results, label, name, own, figure, factor, peer)
    for kind in ("volatile", "except"):
        ratios = [ratio for way in WAYS if (ratio := results.median(own, f"{kind} {way} ratio"))]
        yield Target(f"{label}: `{kind}` broadcasts, 1.1 × ordinary ones", max(ratios, default=None), 1.1)
    least, most = min(results.plan.levels, default=0), max(results.plan.levels, default=0)
    grown = _growth(results, LIMIT)
    bound = None if grown is None else 1.3 * grown
    yield Target(f"{label}: growth, W1 at {most} : at {least}, 1.3 × C", _growth(results, own), bound)


def _connections(results: Results, label: str, own: str, bounds: _Bounds) -> Iterator[Target]:
    yield _against(results, label, "inbound event", own, "inbound total", bounds.inbound, NODE)
    yield _against(results, label, "handshake, JWT checked", own, "handshake total", bounds.handshake, NODE)
    idle = results.median(own, "KB per connection at 5000")
    yield Target(f"{label}: KB per idle connection at 5000", idle, bounds.idle)


def _stalled(results: Results, label: str, own: str) -> Iterator[Target]:
    yield Target(f"{label}: a client that does not read, MB held", results.median(own, "stalled MB"), _STALLED_MB)
    cut = results.spread(own, "stalled cut")
    share = None if cut is None else 1 - cut.low
    yield Target(f"{label}: a client that does not read, share not disconnected", share, 0)
    ratio = results.median(own, "stalled p99 ratio")
    yield Target(f"{label}: p99 of the others, with : without a client that does not read", ratio, 1.1)


def _against(results: Results, label: str, name: str, own: str, figure: str, factor: float, peer: str) -> Target:
    """A figure of this package, which must be at most a multiple of a peer's."""
    short = _SHORT.get(peer, peer)
    measured, theirs = results.median(own, figure), results.median(peer, figure)
    return Target(f"{label}: {name}, {factor:g} × {short}", measured, None if theirs is None else factor * theirs)


def _growth(results: Results, system: str) -> float | None:
    """How much more one delivery costs in a large room. The kernel's part grows too, as caches overflow."""
    levels = sorted(results.plan.levels)
    if len(levels) < 2:
        return None
    few, many = (results.median(system, f"W1 at {level} total") for level in (levels[0], levels[-1]))
    return many / few if few and many else None
