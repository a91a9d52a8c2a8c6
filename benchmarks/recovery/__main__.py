"""`python -m benchmarks.recovery`: what it costs that clients recover missed events, and how fast they return.

Every client checks that it receives every message once and in order, also those that it missed. It takes about two
minutes, and `--quick` less than one.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from benchmarks import processes
from benchmarks.build import build
from benchmarks.catalogue import OWN_SOCKETIO, named
from benchmarks.cluster.redis_server import redis_server
from benchmarks.plan import Figures, requested
from benchmarks.processes import Processors
from benchmarks.publish import with_figures
from benchmarks.recovery.pairs import broadcasts, new_clients
from benchmarks.recovery.report import markdown
from benchmarks.recovery.results import BEGIN, FIGURES, FULL, PAGE, QUICK, RecoveryPlan, RecoveryResults, read
from benchmarks.recovery.returns import RETURNING, all_at_once, one_client
from benchmarks.results import describe_machine
from benchmarks.server import BrokenRun
from benchmarks.tokens import write_tokens

PARTS = ("broadcasts", "new", "returns")
_MOST_HANDSHAKES = 64
"""Clients that connect beside those that are counted."""


class Session:
    """Measures everything."""

    def __init__(self, plan: RecoveryPlan, where: Processors, only: Sequence[str]) -> None:
        self._only = only
        self._plan = plan
        self._where = where
        self._tokens = write_tokens(max(*plan.rooms, plan.connected, plan.returning + plan.others) + _MOST_HANDSHAKES)
        self.results = RecoveryResults(machine=describe_machine(), plan=plan)

    def broadcasts(self) -> None:
        """Without and with recovery: broadcasts."""
        for name in filter(self._is_wanted, OWN_SOCKETIO):
            with self._noting(name):
                self._note(broadcasts(named(name), *self._common))

    def new(self) -> None:
        """Without and with recovery: new clients."""
        name = OWN_SOCKETIO[0]
        for _ in range(self._plan.connect_rounds):
            for label in ("one process", "Redis"):
                if not self._is_wanted(f"{name}, {label}"):
                    continue
                with self._noting(f"{name}, {label}"), _redis(label == "Redis") as url:
                    variables = {} if url is None else {"REDIS_URL": url}
                    self._note(new_clients(named(name), *self._common, variables, label))

    def returns(self) -> None:
        """Clients that return, one at a time, and all at once."""
        for case in RETURNING:
            if not self._is_wanted(case.name):
                continue
            if why := named(case.system).missing():
                self.results.missing[case.name] = why
                continue
            if case.one:
                with self._noting(case.name), _redis(case.redis) as url:
                    self._returned(case.name, one_client(case, *self._common, url))
            for loss in case.losses:
                name = f"{case.name}: {loss}"
                with self._noting(name), _redis(case.redis) as url:
                    self._returned(name, [all_at_once(case, loss, *self._common, url)])

    @property
    def _common(self) -> tuple[RecoveryPlan, Processors, Path]:
        return self._plan, self._where, self._tokens

    def _is_wanted(self, name: str) -> bool:
        return not self._only or any(text in name for text in self._only)

    def _note(self, pairs: Iterable[tuple[str, dict[str, Figures]]]) -> None:
        for system, pair in pairs:
            self.results.pairs.setdefault(system, []).append(pair)

    def _returned(self, case: str, figures: Iterable[Figures]) -> None:
        self.results.returns.setdefault(case, []).extend(figures)

    @contextlib.contextmanager
    def _noting(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        try:
            yield
        except (BrokenRun, OSError) as broken:
            self.results.broken[name] = str(broken)
            print(f"{name}: {broken}", file=sys.stderr)
        print(f"{name} ({time.monotonic() - begun:.0f} s)", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _redis(wanted: bool) -> Iterator[str | None]:
    """The address of a new Redis, on the processor of the load. None: it is not wanted."""
    if not wanted:
        yield None
        return
    with (
        tempfile.TemporaryDirectory(prefix="benchmark-") as folder,
        processes.pinned(processes.processors().load),
        redis_server(Path(folder)) as server,
    ):
        yield server.url


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.recovery", description=__doc__.partition("\n")[0])
    parser.add_argument("--quick", action="store_true", default=requested("QUICK"), help="small numbers (QUICK=1)")
    parser.add_argument(
        "--publish",
        action="store_true",
        default=requested("PUBLISH"),
        help="also write docs/guides/recovery.md (PUBLISH=1)",
    )
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS, help="measure only these parts")
    parser.add_argument(
        "--only", nargs="+", metavar="TEXT", default=(), help="only what has one of these texts in its name"
    )
    parser.add_argument("--pairs", type=int, help="windows of broadcasts on each server, at least 8 for figures")
    parser.add_argument("--seconds", type=float, help="shortest duration of a window")
    parser.add_argument("--rooms", type=int, nargs="+", help="numbers of clients in the room")
    parser.add_argument("--connect-rounds", type=int, help="how often memory is measured")
    parser.add_argument("--connected", type=int, help="new clients")
    parser.add_argument("--missing", type=int, help="clients that return one at a time")
    parser.add_argument("--returning", type=int, help="clients that return at once")
    return parser.parse_args()


def main() -> None:
    """Measure, and print the tables."""
    options = _options()
    names = ("pairs", "seconds", "rooms", "connect_rounds", "connected", "missing", "returning")
    wanted = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    if "rooms" in wanted:
        wanted["rooms"] = tuple(wanted["rooms"])
    plan = msgspec.structs.replace(QUICK if options.quick else FULL, **wanted)
    build()
    processes.raise_file_limit()
    session = Session(plan, processes.processors(), options.only)
    for part in options.parts:
        getattr(session, part)()
    tables = markdown(session.results)
    print(tables)
    if options.publish:
        session.results.write(FIGURES)
        tables = markdown(read(FIGURES))  # in the order of the file, as the test of the page has it
        PAGE.write_text(with_figures(PAGE.read_text(), tables, BEGIN))
    if session.results.broken:
        sys.exit(1)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
