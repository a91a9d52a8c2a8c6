"""`make bench`: measure asgi_realtime, other packages and a server in C, in one shuffled session.

`QUICK=1` takes a few minutes and measures less. Every client checks that it received every message
once and in order. Otherwise the session fails.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import certificate, plot, processes, report
from benchmarks.build import build
from benchmarks.catalogue import HERE, SYSTEMS, System
from benchmarks.measure import measure
from benchmarks.plan import FULL, PARTS, QUICK, Part, Plan, requested
from benchmarks.publish import publish
from benchmarks.results import Results, describe_machine, read
from benchmarks.server import BrokenRun
from benchmarks.tokens import write_tokens


def session(plan: Plan, systems: list[System], parts: Sequence[Part], seed: int) -> Results:
    """Measure the systems in the planned number of rounds, each round in random order."""
    missing = {system.name: why for system in systems if (why := system.missing())}
    present = [system for system in systems if system.name not in missing]
    for name, why in missing.items():
        print(f"not measured: {name}: {why}", file=sys.stderr)
    versions = {system.compiled.name: system.compiled.version for system in present if system.compiled}
    results = Results(machine={**describe_machine(), **versions}, plan=plan, missing=missing)
    if "tls" in parts and (lacking := certificate.missing()):
        print(f"not measured: TLS: {lacking}", file=sys.stderr)
        results.unmeasured["tls"] = lacking
        parts = [part for part in parts if part != "tls"]
    tokens = write_tokens(max(plan.clients, *plan.levels, plan.rooms_clients, plan.stalled_among) + 100)
    order = random.Random(seed)
    for number in range(plan.rounds):
        order.shuffle(present)
        for system in present:
            begun = time.monotonic()
            print(f"round {number + 1} of {plan.rounds}: {system.name}", end="", file=sys.stderr, flush=True)
            try:
                figures = measure(system, plan.of_round(number), processes.processors(), tokens, parts)
                results.rounds.setdefault(system.name, []).extend(figures)
            except BrokenRun as broken:
                results.broken[system.name] = str(broken)
                print(f": {broken}", end="", file=sys.stderr)
            print(f" ({time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)
    return results


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", default=requested("QUICK"), help="about six minutes (QUICK=1)")
    parser.add_argument(
        "--publish",
        action="store_true",
        default=requested("PUBLISH"),
        help="also write the tables of README and docs (PUBLISH=1)",
    )
    parser.add_argument("--append", action="store_true", help="add to the session in the output folder")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="measure only these parts")
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", help="measure only systems whose name contains one of these texts"
    )
    parser.add_argument("--rounds", type=int, help="how often each system is measured")
    parser.add_argument("--seconds", type=float, help="shortest duration of a window")
    parser.add_argument("--clients", type=int, help="number of clients in the room")
    parser.add_argument("--levels", type=int, nargs="*", help="other numbers of clients, for memory and growth")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="seed of the random order")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="folder for results.json, .md and .svg")
    return parser.parse_args()


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    wanted = {name: getattr(options, name) for name in ("rounds", "seconds", "clients")}
    wanted["levels"] = None if options.levels is None else tuple(options.levels)
    plan = dataclasses.replace(plan, **{name: value for name, value in wanted.items() if value is not None})
    files = processes.raise_file_limit()
    possible = plan.within(files)
    if possible != plan:
        print(f"A process may open only {files} files here: fewer clients than planned.", file=sys.stderr)
    return possible


def main() -> None:
    """Measure, then print the tables and write them to files."""
    options = _options()
    plan = _plan(options)
    build()
    systems = [system for system in SYSTEMS if system.quick or not plan.quick]
    if options.only:
        systems = [system for system in SYSTEMS if any(text in system.name for text in options.only)]
    results = session(plan, systems, options.parts, options.seed)
    if options.append:
        results = read(options.output / "results.json").joined(results)
    tables = report.markdown(results)
    options.output.mkdir(parents=True, exist_ok=True)
    results.write(options.output / "results.json")
    (options.output / "results.md").write_text(tables)
    (options.output / "results.svg").write_text(plot.svg(results))
    print(tables)
    if options.publish:
        publish(results)
    if results.broken:
        sys.exit(1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
