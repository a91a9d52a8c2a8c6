"""`python -m benchmarks.cluster`: what a broadcast costs when it goes through Redis to other processes.

For each system: one Redis, a process that publishes, and processes with one client each. Every client checks that it
receives every message once and in order. It takes under ten minutes, and `--quick` less than one.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from benchmarks.cluster.measure import measure
from benchmarks.cluster.report import markdown
from benchmarks.cluster.results import BEGIN, FIGURES, FULL, PAGE, QUICK, ClusterPlan, ClusterResults
from benchmarks.cluster.systems import JOINED, JoinedSystem
from benchmarks.compiled import CENTRIFUGO
from benchmarks.publish import with_figures
from benchmarks.results import describe_machine
from benchmarks.server import BrokenRun


def session(plan: ClusterPlan, systems: Sequence[JoinedSystem]) -> ClusterResults:
    """Measure the systems in the planned number of rounds, each round in random order."""
    results = ClusterResults(machine={**describe_machine(), **_versions()}, plan=plan)
    results.missing = {system.name: why for system in systems if (why := system.missing())}
    present = [system for system in systems if system.name not in results.missing]
    for number in range(plan.rounds):
        random.shuffle(present)
        for system in present:
            begun = time.monotonic()
            with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
                try:
                    figures = measure(system, plan, Path(folder), first=number == 0)
                    results.rounds.setdefault(system.name, []).append(figures)
                except (BrokenRun, OSError) as broken:
                    results.broken[system.name] = str(broken)
                    print(f"{system.name}: {broken}", file=sys.stderr)
            print(f"round {number + 1}: {system.name} ({time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)
    return results


def _versions() -> dict[str, str]:
    """The versions that matter only here."""
    server = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=True).stdout
    packages = {name: importlib.metadata.version(name) for name in ("redis", "hiredis")}
    return {"Redis": server.split()[2].removeprefix("v="), **packages, CENTRIFUGO.name: CENTRIFUGO.version}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cluster", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer publications, and at most three processes")
    parser.add_argument("--publish", action="store_true", help="also write the tables of docs/operations/scaling.md")
    parser.add_argument("--rounds", type=int, help="how often each system is measured")
    parser.add_argument("--publications", type=int, help="publications of one measurement")
    parser.add_argument("--sizes", type=int, nargs="+", help="numbers of processes, each at least 2")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="systems whose name contains one of these texts")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the tables."""
    options = _options()
    wanted = {name: getattr(options, name) for name in ("rounds", "publications", "sizes")}
    plan = msgspec.structs.replace(
        QUICK if options.quick else FULL,
        **{name: tuple(value) if name == "sizes" else value for name, value in wanted.items() if value is not None},
    )
    systems = [each for each in JOINED if not options.only or any(text in each.name for text in options.only)]
    results = session(plan, systems)
    tables = markdown(results)
    print(tables)
    if options.publish:
        results.write(FIGURES)
        PAGE.write_text(with_figures(PAGE.read_text(), tables, BEGIN))
    if results.broken:
        sys.exit(1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
