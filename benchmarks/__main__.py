"""`make bench`: us, our peers, and what the kernel allows, in one shuffled session.

`QUICK=1` takes a few minutes and says less. Every client checks that it received every message,
once, in order; a session in which one did not has failed.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import random
import sys
import time
from pathlib import Path

import msgspec

from benchmarks import plot, processes, report
from benchmarks.build import build
from benchmarks.catalogue import HERE, SYSTEMS, System
from benchmarks.measure import measure
from benchmarks.plan import FULL, QUICK, Plan
from benchmarks.results import Results, describe_machine
from benchmarks.server import BrokenRun
from benchmarks.tokens import write_tokens

_DOCS = HERE.parent / "docs"
_BEGIN, _END = "<!-- figures: written by `PUBLISH=1 make bench` -->", "<!-- end of figures -->"


def session(plan: Plan, systems: list[System], seed: int) -> Results:
    """Measure systems in random order, as many rounds as are planned."""
    results = Results(machine=describe_machine(), plan=plan)
    results.missing = {system.name: why for system in systems if (why := system.missing())}
    present = [system for system in systems if system.name not in results.missing]
    tokens = write_tokens(max(plan.clients, *plan.levels, plan.stalled_among) + 100)
    order = random.Random(seed)
    for number in range(plan.rounds):
        order.shuffle(present)
        for system in present:
            begun = time.monotonic()
            print(f"round {number + 1} of {plan.rounds}: {system.name}", end="", file=sys.stderr, flush=True)
            try:
                figures = measure(system, plan, processes.processors(), tokens, stalled=number == 0)
                results.rounds.setdefault(system.name, []).append(figures)
            except BrokenRun as broken:
                results.broken[system.name] = str(broken)
                print(f": {broken}", end="", file=sys.stderr)
            print(f" ({time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)
    return results


def publish(tables: str, picture: str) -> None:
    """Put the tables between their marks in docs/performance.md, and the plot beside it."""
    page = _DOCS / "performance.md"
    text = page.read_text() if page.exists() else f"# Performance\n\n![](performance.svg)\n\n{_BEGIN}\n{_END}\n"
    before, _, rest = text.partition(_BEGIN)
    page.write_text(f"{before}{_BEGIN}\n\n{tables}\n{_END}{rest.partition(_END)[2]}")
    (_DOCS / "performance.svg").write_text(picture)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", default=_set("QUICK"), help="under five minutes (QUICK=1)")
    parser.add_argument("--publish", action="store_true", default=_set("PUBLISH"), help="write docs/performance.*")
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="only systems with one of these in their names")
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--seconds", type=float, help="how long one figure of one round takes at least")
    parser.add_argument("--clients", type=int, help="the size of the room")
    parser.add_argument("--levels", type=int, nargs="*", help="other sizes of it, for memory and growth")
    parser.add_argument("--seed", type=int, default=random.randrange(1_000_000), help="of the order of systems")
    parser.add_argument("--output", type=Path, default=HERE / "results", help="the folder for results.json, .md, .svg")
    return parser.parse_args()


def _set(variable: str) -> bool:
    return os.environ.get(variable, "") not in ("", "0")


def _plan(options: argparse.Namespace) -> Plan:
    plan = QUICK if options.quick else FULL
    wanted = {name: getattr(options, name) for name in ("rounds", "seconds", "clients")}
    wanted["levels"] = None if options.levels is None else tuple(options.levels)
    plan = dataclasses.replace(plan, **{name: value for name, value in wanted.items() if value is not None})
    files = processes.raise_file_limit()
    possible = plan.within(files)
    if possible != plan:
        print(f"This system allows {files} open files for a process: fewer clients than planned.", file=sys.stderr)
    return possible


def main() -> None:
    """Measure, print the tables, write them down."""
    options = _options()
    plan = _plan(options)
    build()
    systems = [system for system in SYSTEMS if system.quick or not plan.quick]
    if options.only:
        systems = [system for system in SYSTEMS if any(text in system.name for text in options.only)]
    results = session(plan, systems, options.seed)
    tables, picture = report.markdown(results), plot.svg(results)
    options.output.mkdir(parents=True, exist_ok=True)
    (options.output / "results.json").write_bytes(msgspec.json.format(msgspec.json.encode(results)))
    (options.output / "results.md").write_text(tables)
    (options.output / "results.svg").write_text(picture)
    print(tables)
    if options.publish:
        publish(tables, picture)
    if results.broken:
        sys.exit(1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
