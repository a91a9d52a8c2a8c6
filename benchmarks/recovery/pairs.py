"""Two servers side by side, without and with recovery, measured by turns."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from benchmarks.catalogue import BUILD, System
from benchmarks.generator import Generator
from benchmarks.plan import TEXT_BYTES, Figures
from benchmarks.processes import Processors
from benchmarks.recovery.results import OFF, ON, RecoveryPlan
from benchmarks.server import Server

_WARM_UP_CLIENTS = 50
_WARM_UP_SECONDS = 0.2
_VARIABLES = {OFF: {"MEW_RECOVERY_WINDOW": "0"}, ON: dict[str, str]()}


class Pair:
    """Two servers of one system. The clients of both ask for recovery, so they send the same bytes."""

    def __init__(self, system: System, where: Processors, tokens: Path, variables: Mapping[str, str]) -> None:
        self._system = system
        self._where = where
        self._tokens = tokens
        self._variables = variables
        self._sides: dict[str, tuple[Server, Generator]] = {}
        self._stack = contextlib.ExitStack()
        self._turn = 0

    def __enter__(self) -> Pair:
        with contextlib.ExitStack() as stack:
            for name, more in _VARIABLES.items():
                log = BUILD / f"server-{name}.log"
                server = Server(self._system, self._where.server, log, {**self._variables, **more})
                stack.enter_context(server)
                load = stack.enter_context(Generator(server.port, "recovery", self._tokens, self._where.load))
                self._sides[name] = server, load
            self._stack = stack.pop_all()
        self.both(_warm_up)
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def both(self, measure: Callable[[Server, Generator], Figures]) -> dict[str, Figures]:
        """Measure both. The one that is first alternates."""
        self._turn += 1
        names = list(self._sides)[:: 1 if self._turn % 2 else -1]
        return {name: measure(*self._sides[name]) for name in names}


def _warm_up(server: Server, load: Generator) -> Figures:
    load.connect(_WARM_UP_CLIENTS)
    load.broadcast(16, _WARM_UP_SECONDS, TEXT_BYTES)
    load.disconnect()
    server.settled_cpu()
    return {}


def broadcasts(
    system: System, plan: RecoveryPlan, where: Processors, tokens: Path
) -> Iterator[tuple[str, dict[str, Figures]]]:
    """Microseconds of the server for a delivery, in rooms of each size: one broadcast at a time, and sixteen."""
    with Pair(system, where, tokens, {}) as pair:
        for size in sorted(plan.rooms):
            seconds = plan.seconds if size == max(plan.rooms) else plan.seconds / 2

            def enter(server: Server, load: Generator, size: int = size) -> Figures:
                load.connect(size)
                load.broadcast(16, _WARM_UP_SECONDS, TEXT_BYTES)
                return {}

            pair.both(enter)
            for _ in range(plan.pairs):
                for width in (1, 16):
                    yield f"{system.name}, room of {size}", pair.both(_delivery(width, seconds))


def _delivery(width: int, seconds: float) -> Callable[[Server, Generator], Figures]:
    def measure(server: Server, load: Generator) -> Figures:
        before = server.cpu()
        done = load.broadcast(width, seconds, TEXT_BYTES)
        used = server.cpu().since(before)
        name, count = f"W{width}", done.deliveries / 1e6
        return {f"{name} total": used.total / count, f"{name} user": used.user / count}

    return measure


def new_clients(
    system: System, plan: RecoveryPlan, where: Processors, tokens: Path, variables: Mapping[str, str], label: str
) -> Iterator[tuple[str, dict[str, Figures]]]:
    """Microseconds of the server for a handshake, and bytes of memory for an idle connection."""
    name = f"{system.name}, {label}"
    with Pair(system, where, tokens, variables) as pair:
        empty = pair.both(lambda server, load: {"KB": server.settled_memory()})
        for step in range(plan.connect_steps):
            yield name, pair.both(_handshakes(plan.connected * (step + 1) // plan.connect_steps))
        full = pair.both(lambda server, load: {"KB": server.settled_memory()})
        yield (
            name,
            {side: {"memory": (full[side]["KB"] - empty[side]["KB"]) * 1024 / plan.connected} for side in (OFF, ON)},
        )


def _handshakes(clients: int) -> Callable[[Server, Generator], Figures]:
    def measure(server: Server, load: Generator) -> Figures:
        before = server.settled_cpu()
        entered = load.connect(clients)
        used = server.settled_cpu().since(before)  # with Redis, sessions are written after the answer
        return {"handshake": used.total / entered.connected * 1e6}

    return measure
