"""The plan and the results of a session, stored as JSON."""

from __future__ import annotations

import statistics
from pathlib import Path

import msgspec

from benchmarks.catalogue import HERE
from benchmarks.plan import Figures

FIGURES = HERE / "cluster" / "figures.json"
PAGE = HERE.parent / "docs/operations/scaling.md"
BEGIN = "<!-- figures: written by `python -m benchmarks.cluster --publish` -->"


class ClusterPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of a session.

    `sizes` are numbers of processes. The first one also has all other measurements. `idle_seconds` is a multiple of
    the interval at which processes renew their leases.
    """

    rounds: int = 3
    publications: int = 3_008
    paced: int = 2_000
    sizes: tuple[int, ...] = (2, 4, 8)
    idle_seconds: float = 10.0


FULL = ClusterPlan()
QUICK = ClusterPlan(rounds=1, publications=320, paced=100, sizes=(2, 3), idle_seconds=0.0)


class ClusterResults(msgspec.Struct, kw_only=True):
    """All figures of a session, and the conditions. `missing` and `broken` say why."""

    machine: dict[str, str]
    plan: ClusterPlan
    rounds: dict[str, list[Figures]] = {}
    missing: dict[str, str] = {}
    broken: dict[str, str] = {}

    def median(self, system: str, figure: str) -> float | None:
        """The median of a figure over all rounds. None if it was not measured."""
        values = [figures[figure] for figures in self.rounds.get(system, ()) if figure in figures]
        return statistics.median(values) if values else None

    def write(self, file: Path) -> None:
        """Store the session."""
        file.write_bytes(msgspec.json.format(msgspec.json.encode(self, order="sorted")) + b"\n")


def read(file: Path) -> ClusterResults:
    """Read a stored session."""
    return msgspec.json.decode(file.read_bytes(), type=ClusterResults)
