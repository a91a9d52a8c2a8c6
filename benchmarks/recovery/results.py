"""The plan and the results of a session, stored as JSON."""

from __future__ import annotations

import statistics
from collections.abc import Iterator
from pathlib import Path

import msgspec

from benchmarks.catalogue import HERE
from benchmarks.plan import Figures

FIGURES = HERE / "recovery" / "figures.json"
PAGE = HERE.parent / "docs/guides/recovery.md"
BEGIN = "<!-- figures: written by `python -m benchmarks.recovery --publish` -->"

OFF, ON = "off", "on"
"""The names of the two servers of a pair: with `MEW_RECOVERY_WINDOW=0`, and as by default."""


class RecoveryPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a session.

    Broadcasts are measured in rooms of some sizes, in so many `pairs` of windows of at least `seconds` (half of it in
    all but the largest). New clients are measured in `connect_rounds`, each with two new servers. In each, `connected`
    clients enter in `connect_steps`.
    `missing` clients return one at a time, `missing_windows` times, and `returning` at once, beside `others` that
    stay; `rate` broadcasts per second go to all of them.
    """

    rooms: tuple[int, ...] = (1, 10, 1_000)
    pairs: int = 8
    seconds: float = 0.4
    connect_rounds: int = 2
    connected: int = 5_000
    connect_steps: int = 6
    missing: int = 100
    missing_windows: int = 4
    missed: int = 100
    returning: int = 2_000
    others: int = 100
    rate: float = 10.0


FULL = RecoveryPlan()
QUICK = RecoveryPlan(
    rooms=(1, 100),
    pairs=2,
    seconds=0.1,
    connect_rounds=1,
    connected=200,
    connect_steps=2,
    missing=10,
    missing_windows=1,
    returning=100,
    others=10,
)


class RecoveryResults(msgspec.Struct, kw_only=True):
    """All figures of a session, and the conditions.

    `pairs` has the figures of the two servers of each pair, measured one after the other. `returns` has those of
    clients that return. `missing` and `broken` say why a system was not measured.
    """

    machine: dict[str, str]
    plan: RecoveryPlan
    pairs: dict[str, list[dict[str, Figures]]] = {}
    returns: dict[str, list[Figures]] = {}
    missing: dict[str, str] = {}
    broken: dict[str, str] = {}

    def median(self, system: str, server: str, figure: str) -> float | None:
        """The median of a figure of one server of the pairs. None: it was not measured."""
        return _median(pair[server][figure] for pair in self._pairs(system, figure))

    def ratio(self, system: str, figure: str) -> float | None:
        """The median ratio of the pairs, on to off. For user time, which is sampled in ticks: that of the means."""
        if figure.endswith("user"):
            off, on = (sum(pair[side][figure] for pair in self._pairs(system, figure)) for side in (OFF, ON))
            return on / off if off else None
        return _median(pair[ON][figure] / pair[OFF][figure] for pair in self._pairs(system, figure))

    def more(self, system: str, figure: str) -> float | None:
        """The median difference of the pairs, on minus off."""
        return _median(pair[ON][figure] - pair[OFF][figure] for pair in self._pairs(system, figure))

    def returned(self, case: str, figure: str) -> float | None:
        """The median of a figure of returning clients."""
        return _median(figures[figure] for figures in self.returns.get(case, ()) if figure in figures)

    def _pairs(self, system: str, figure: str) -> Iterator[dict[str, Figures]]:
        return (pair for pair in self.pairs.get(system, ()) if figure in pair[OFF])

    def write(self, file: Path) -> None:
        """Store the session."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self, order="sorted")) + b"\n")


def _median(values: Iterator[float]) -> float | None:
    found = list(values)
    return statistics.median(found) if found else None


def read(file: Path) -> RecoveryResults:
    """Read a stored session."""
    return msgspec.json.decode(file.read_bytes(), type=RecoveryResults)
