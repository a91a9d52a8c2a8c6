"""Measures one system in one round."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from benchmarks.accounting import accounted, per_item
from benchmarks.catalogue import BUILD, System
from benchmarks.generator import Generator
from benchmarks.kinds import other_kinds
from benchmarks.plan import INBOUND_BURST, INBOUND_CLIENTS, LARGE, TEXT_BYTES, Figures, Part, Plan
from benchmarks.processes import Processors
from benchmarks.rooms import small_rooms
from benchmarks.server import BrokenRun, Server
from benchmarks.stalled import beside_stalled

_WARM_UP_CLIENTS = 50


class Round:
    """One system in one round."""

    def __init__(self, system: System, plan: Plan, where: Processors, tokens: Path) -> None:
        self._system = system
        self._plan = plan
        self._where = where
        self._tokens = tokens
        self._log = BUILD / "server.log"

    def measure(self, parts: Collection[Part]) -> Iterator[Figures]:
        """Measure these parts, each with its own process.

        Raises:
            BrokenRun: if one of them cannot be trusted.
        """
        takes: dict[Part, Callable[[Server, Generator], Iterator[Figures]]] = {
            "room": self._room,
            "levels": self._levels,
            "rooms": partial(small_rooms, self._plan),
            "kinds": partial(other_kinds, self._system, self._plan),
            "stalled": partial(beside_stalled, self._system, self._plan),
        }
        for part, take in takes.items():
            if part in parts and (part == "room" or self._system.compared):
                with (
                    Server(self._system, self._where.server, self._log) as server,
                    Generator(server.port, self._system.dialect, self._tokens, self._where.load) as load,
                ):
                    _warm_up(load)
                    yield from take(server, load)

    def _room(self, server: Server, load: Generator) -> Iterator[Figures]:
        plan = self._plan
        empty, before = server.settled_memory(), server.cpu()
        entered = load.connect(plan.clients)
        used = server.cpu().since(before)
        yield {
            f"KB per connection at {plan.clients}": (server.settled_memory() - empty) / plan.clients,
            "handshake total": used.total / entered.connected * 1e6,
            "handshakes/s": entered.connected / entered.seconds,
        }
        load.broadcast(16, 0.2, TEXT_BYTES)  # sockets and caches reach their size
        for _ in range(plan.windows):
            yield self._window(server, load)
        if self._system.own:
            mixed = load.mixed(2 * plan.seconds, TEXT_BYTES)
            yield {"mixed messages": mixed.messages, "mixed moves": mixed.moves}

    def _window(self, server: Server, load: Generator) -> Figures:
        """One window of each measurement in the room."""
        plan = self._plan
        figures = self._one_at_a_time(server, load, "W1", plan.seconds)
        many, used = accounted(server, lambda: load.broadcast(16, plan.seconds, TEXT_BYTES))
        figures |= per_item("W16", used, many.deliveries)
        burst, used = accounted(server, lambda: load.broadcast(16, plan.seconds, TEXT_BYTES, together=16))
        figures |= per_item("burst16", used, burst.deliveries)
        figures["W16 deliveries/s"] = many.deliveries / many.seconds
        paced = load.pace(plan.pace, 2 * plan.seconds, TEXT_BYTES)
        figures |= {"paced p50": paced.p50, "paced p99": paced.p99}
        for name, events in (("inbound", INBOUND_BURST), ("answered", 1)):
            figures |= self._inbound(server, load, name, events)
        return figures

    def _levels(self, server: Server, load: Generator) -> Iterator[Figures]:
        """Rooms of other sizes: memory of the connections, and cost of a delivery."""
        figures = Figures()
        empty = server.settled_memory()
        for level in sorted(self._plan.levels):
            if level > self._system.most_clients:
                break
            load.connect(level)
            figures[f"KB per connection at {level}"] = (server.settled_memory() - empty) / level
            figures |= self._one_at_a_time(server, load, f"W1 at {level}", self._plan.seconds)
            if level > LARGE:
                _, used = accounted(server, partial(load.idle, self._plan.idle_seconds))
                figures[f"idle at {level}"] = used.total / self._plan.idle_seconds * 100
        yield figures

    def _one_at_a_time(self, server: Server, load: Generator, name: str, seconds: float) -> Figures:
        single, used = accounted(server, lambda: load.broadcast(1, seconds, TEXT_BYTES))
        figures = per_item(name, used, single.deliveries)
        figures[f"{name} deliveries/s"] = single.deliveries / single.seconds
        return figures | {f"{name} p50": single.p50, f"{name} p99": single.p99}

    def _inbound(self, server: Server, load: Generator, name: str, burst: int) -> Figures:
        counted, used = accounted(server, lambda: load.inbound(burst, self._plan.seconds / 2, INBOUND_CLIENTS))
        return per_item(name, used, counted.events)


def _warm_up(load: Generator) -> None:
    load.connect(_WARM_UP_CLIENTS)
    load.broadcast(16, 0.2, TEXT_BYTES)
    load.inbound(INBOUND_BURST, 0.2, INBOUND_CLIENTS)
    load.disconnect()


def measure(system: System, plan: Plan, where: Processors, tokens: Path, parts: Collection[Part]) -> list[Figures]:
    """Measure these parts of one system in one round, window by window.

    Raises:
        BrokenRun: if one of them cannot be trusted.
    """
    try:
        return list(Round(system, plan, where, tokens).measure(parts))
    except (OSError, subprocess.SubprocessError) as error:
        raise BrokenRun(f"{type(error).__name__}: {error}") from None
