"""`python -m benchmarks.observability`: what metrics and tracing cost an event and a broadcast, also if they are off.

For each kind of observation an app runs in a process of its own. In each round, each does the same work in turn, in
another order. `none` is a copy of the package without the statements that metrics need (see `unhooked.py`). What `off`
takes more than `none` is what they cost those who do not use them. Times are those of the processor, with warm caches.

Two processes that do the same differ by a few per cent, by where their memory is. So all processes are started several
times (`--repeats`), and what is printed is the median of the repeats, with the lowest and the highest difference.
`--instructions` counts instructions with callgrind, which a busy machine does not disturb.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, TypeAlias

from benchmarks.catalogue import HERE
from benchmarks.observability.imports import OPTIONAL, imported
from benchmarks.observability.unhooked import make_unhooked
from benchmarks.observability.worker import KINDS, WORKS
from benchmarks.tables import table

NONE: Final = "none"
COUNTS: Final = {"event": 1_600, "answered": 480, "waiting": 480, "broadcast": 250, "broadcast 100": 50}
"""How much of each work is done at once."""
_TIMES: Final = 10
"""How much more is done when instructions are counted."""
Samples: TypeAlias = dict[tuple[str, str], list[list[float]]]
"""By kind and work, what one event or broadcast took: for each repeat a list of its rounds."""


class _Process:
    """A worker in its own process."""

    def __init__(self, kind: str, unhooked: Path, *command: str, instructions: bool = False) -> None:
        environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "0"}
        worker = [*command, sys.executable, "-m", "benchmarks.observability.worker", "off" if kind == NONE else kind]
        self._process = subprocess.Popen(
            worker + (["--instructions"] if instructions else []),
            cwd=unhooked if kind == NONE else HERE.parent,  # where `-m` looks first
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._read() != "ready":
            raise SystemExit(f"the process for {kind} did not start")

    def _read(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def do(self, work: str, count: int) -> float:
        """Do so much of a work. Returns the seconds that one of it took."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{work} {count}\n")
        self._process.stdin.flush()
        return float(self._read()) / max(count, 1)

    def end(self) -> None:
        """End it."""
        self._process.communicate()


def measure_times(kinds: Sequence[str], works: Sequence[str], repeats: int, rounds: int, unhooked: Path) -> Samples:
    """The processor times in µs."""
    samples: Samples = {(kind, work): [] for kind in kinds for work in works}
    for _ in range(repeats):
        for taken, times in _repeat(kinds, works, rounds, unhooked).items():
            samples[taken].append(times)
    return samples


def _repeat(
    kinds: Sequence[str], works: Sequence[str], rounds: int, unhooked: Path
) -> dict[tuple[str, str], list[float]]:
    samples: dict[tuple[str, str], list[float]] = {(kind, work): [] for kind in kinds for work in works}
    with contextlib.ExitStack() as stack:
        processes = {}
        for kind in kinds:
            processes[kind] = _Process(kind, unhooked)
            stack.callback(processes[kind].end)
        for number in range(-1, rounds):  # the first one warms up
            for work in works:
                for kind in random.sample(kinds, len(kinds)):
                    seconds = processes[kind].do(work, COUNTS[work])
                    if number >= 0:
                        samples[kind, work].append(seconds * 1e6)
    return samples


def count_instructions(kinds: Sequence[str], works: Sequence[str], unhooked: Path) -> Samples:
    """The instructions of the server outside of the kernel."""
    samples: Samples = {}
    for kind in kinds:
        without = _instructions(kind, works[0], 0, unhooked)  # what turning callgrind on and off takes
        for work in works:
            count = _TIMES * COUNTS[work]
            counted = (_instructions(kind, work, count, unhooked) - without) / count
            samples[kind, work] = [[counted]]
            print(f"{kind}, {work}: {counted:.0f} instructions", file=sys.stderr, flush=True)
    return samples


def _instructions(kind: str, work: str, count: int, unhooked: Path) -> int:
    output = unhooked.parent / "callgrind.out"
    callgrind = ("valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={output}", "--quiet")
    process = _Process(kind, unhooked, *callgrind, instructions=True)
    process.do(work, count)
    process.end()
    found = re.search(r"^totals: (\d+)", output.read_text(), re.MULTILINE)
    assert found is not None, output.read_text()[:200]
    return int(found[1])


def _tables(samples: Samples, kinds: Sequence[str], works: Sequence[str], unit: str) -> Iterator[str]:
    for name, of in _STATISTICS.items() if unit == "µs" else [("one run", min)]:
        yield f"{unit} for one, {name}; compared with `off`:\n"
        rows = []
        for kind in kinds:
            cells = []
            for work in works:
                values, off = [[of(rounds) for rounds in samples[each, work]] for each in (kind, "off")]
                differences = [value / without - 1 for value, without in zip(values, off, strict=True)]
                cells.append(f"{statistics.median(values):.4g}" + ("" if kind == "off" else _spread(differences)))
            rows.append([kind, *cells])
        yield table(("", *works), rows) + "\n"


def _spread(differences: Sequence[float]) -> str:
    middle = f"{statistics.median(differences):+.1%}"
    return (
        f" ({middle}; {min(differences):+.1%} to {max(differences):+.1%})" if len(differences) > 1 else f" ({middle})"
    )


_STATISTICS: Final[dict[str, Callable[[Sequence[float]], float]]] = {"lowest": min, "median": statistics.median}


def main() -> None:
    """Measure, and print tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.observability", description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=5, help="how often new processes are started")
    parser.add_argument("--rounds", type=int, default=20, help="of each repeat")
    parser.add_argument(
        "--instructions", action="store_true", help="count instructions instead of time (needs valgrind)"
    )
    parser.add_argument("--kinds", nargs="+", choices=(NONE, *KINDS), default=(NONE, *KINDS))
    parser.add_argument("--works", nargs="+", choices=WORKS, default=WORKS)
    options = parser.parse_args()
    kinds = list(dict.fromkeys(("off", *options.kinds)))
    found = imported()
    print(f"Not imported by an app without them: {', '.join([name for name in OPTIONAL if name not in found])}\n")
    if options.instructions and shutil.which("valgrind") is None:
        raise SystemExit("--instructions needs valgrind")
    with tempfile.TemporaryDirectory() as folder:
        unhooked = make_unhooked(Path(folder) / "unhooked")
        if options.instructions:
            samples, unit = count_instructions(kinds, options.works, unhooked), "instructions"
        else:
            samples, unit = measure_times(kinds, options.works, options.repeats, options.rounds, unhooked), "µs"
    print("\n".join(_tables(samples, kinds, options.works, unit)))
    if found:
        sys.exit(f"imported although it is not used: {', '.join(found)}")


if __name__ == "__main__":
    main()
