"""The results of a session, stored as JSON."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
import subprocess
from pathlib import Path

import msgspec

from benchmarks.plan import Figures, Part, Plan

_PACKAGES = ("uvicorn", "uvloop", "httptools", "websockets", "granian", "hypercorn", "starlette", "channels")


class Spread(msgspec.Struct, frozen=True):
    """One figure over all rounds."""

    median: float
    low: float
    high: float


class Results(msgspec.Struct, kw_only=True):
    """All figures of a session, and the conditions.

    `rounds` has the figures of each window of each system, of all parts. `missing` are the systems that
    cannot run here, `broken` those with a round that failed, `unmeasured` the parts that cannot be measured
    here, each with the reason.
    """

    machine: dict[str, str]
    plan: Plan
    rounds: dict[str, list[Figures]] = {}
    missing: dict[str, str] = {}
    broken: dict[str, str] = {}
    unmeasured: dict[Part, str] = {}

    @property
    def count(self) -> int:
        """The smallest number of windows in which a system was measured."""
        return min((self.times(system, "W1 total") for system in self.rounds), default=0)

    def times(self, system: str, figure: str) -> int:
        """The number of measurements of a figure."""
        return sum(figure in figures for figures in self.rounds.get(system, ()))

    def spread(self, system: str, figure: str) -> Spread | None:
        """A figure of a system; None if it was not measured."""
        values = [figures[figure] for figures in self.rounds.get(system, ()) if figure in figures]
        return Spread(statistics.median(values), min(values), max(values)) if values else None

    def median(self, system: str, figure: str) -> float | None:
        """The median of a figure over all rounds. None if it was not measured."""
        spread = self.spread(system, figure)
        return None if spread is None else spread.median

    def joined(self, later: Results) -> Results:
        """This session joined with a later one of the same machine. A failure in either is kept."""
        rounds = {name: list(found) for name, found in self.rounds.items()}
        for name, found in later.rounds.items():
            rounds.setdefault(name, []).extend(found)
        return Results(
            machine=self.machine,
            plan=self.plan.joined(later.plan),
            rounds=rounds,
            missing=self.missing | later.missing,
            broken=self.broken | later.broken,
            unmeasured=self.unmeasured | later.unmeasured,
        )

    def write(self, file: Path) -> None:
        """Store the session, with the systems by name: they were measured in random order."""
        by_name = Results(
            machine=self.machine,
            plan=self.plan,
            # A figure may be an `int`. It is stored as the `float` that `read` returns.
            rounds={
                system: [{name: float(figure) for name, figure in figures.items()} for figures in windows]
                for system, windows in sorted(self.rounds.items())
            },
            missing=dict(sorted(self.missing.items())),
            broken=dict(sorted(self.broken.items())),
            unmeasured=dict(sorted(self.unmeasured.items())),
        )
        file.write_bytes(msgspec.json.format(msgspec.json.encode(by_name)) + b"\n")


def read(file: Path) -> Results:
    """Read a stored session."""
    return msgspec.json.decode(file.read_bytes(), type=Results)


def describe_machine() -> dict[str, str]:
    """The conditions: processor, kernel, versions, and the load of the machine."""
    versions = {name: _version(name) for name in ("python-socketio", *_PACKAGES)}
    return {
        "processor": _processor(),
        "processors": str(len(os.sched_getaffinity(0))),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "node": _output("node", "--version").removeprefix("v"),
        "gcc": _output("gcc", "-dumpfullversion"),
        **{name: version for name, version in versions.items() if version},
        "load before": f"{os.getloadavg()[0]:.1f}",
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
