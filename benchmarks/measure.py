"""One system measured once: every figure of a round."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TypeAlias

from benchmarks.catalogue import BUILD, System
from benchmarks.generator import Counted, Delivered, Generator
from benchmarks.plan import INBOUND_BURST, INBOUND_CLIENTS, STALLED_TEXT_BYTES, TEXT_BYTES, Part, Plan
from benchmarks.processes import CPU, Processors
from benchmarks.server import BrokenRun, Server

Figures: TypeAlias = dict[str, float]

_WARM_UP_CLIENTS = 50


class Round:
    """One system in one round."""

    def __init__(self, system: System, plan: Plan, where: Processors, tokens: Path) -> None:
        self._system = system
        self._plan = plan
        self._where = where
        self._tokens = tokens
        self._log = BUILD / "server.log"

    def measure(self, parts: Collection[Part]) -> Figures:
        """Take every figure of these parts.

        Raises:
            BrokenRun: if one of them cannot be trusted.
        """
        figures = Figures()
        for part, take in (("room", self._room), ("levels", self._levels), ("stalled", self._stalled)):
            if part in parts and not (part == "stalled" and self._system.waits_for_stalled):
                with self._server() as server, self._generator(server) as load:
                    figures |= take(server, load)
        return figures

    def _server(self) -> Server:
        return Server(self._system, self._where.server, self._log)

    def _generator(self, server: Server) -> Generator:
        return Generator(server.port, self._system.dialect, self._tokens, self._where.load)

    def _room(self, server: Server, load: Generator) -> Figures:
        plan = self._plan
        _warm_up(load)
        empty, before = server.settled_memory(), server.cpu()
        entered = load.connect(plan.clients)
        used = server.cpu().since(before)
        figures = {
            f"KB per connection at {plan.clients}": (server.settled_memory() - empty) / plan.clients,
            "handshake total": used.total / entered.connected * 1e6,
            "handshakes/s": entered.connected / entered.seconds,
        }
        figures |= self._one_at_a_time(server, load, "W1", plan.seconds)
        many, used = _accounted(server, lambda: load.broadcast(16, plan.seconds, TEXT_BYTES))
        figures |= _per("W16", used, many.deliveries)
        figures["W16 deliveries/s"] = many.deliveries / many.seconds
        paced = load.pace(plan.pace, plan.seconds, TEXT_BYTES)
        figures |= {"paced p50": paced.p50, "paced p99": paced.p99}
        if self._system.own:
            mixed = load.mixed(plan.seconds, TEXT_BYTES)
            figures |= {"mixed messages": mixed.messages, "mixed moves": mixed.moves}
        for name, burst in (("inbound", INBOUND_BURST), ("answered", 1)):
            figures |= self._inbound(server, load, name, burst)
        return figures

    def _levels(self, server: Server, load: Generator) -> Figures:
        """The room as it grows: what its connections hold, and what a delivery costs."""
        figures = Figures()
        _warm_up(load)
        empty = server.settled_memory()
        for level in sorted(self._plan.levels):
            load.connect(level)
            figures[f"KB per connection at {level}"] = (server.settled_memory() - empty) / level
            figures |= self._one_at_a_time(server, load, f"W1 at {level}", self._plan.seconds / 2)
        return figures

    def _one_at_a_time(self, server: Server, load: Generator, name: str, seconds: float) -> Figures:
        single, used = _accounted(server, lambda: load.broadcast(1, seconds, TEXT_BYTES))
        figures = _per(name, used, single.deliveries)
        figures[f"{name} deliveries/s"] = single.deliveries / single.seconds
        return figures | {f"{name} p50": single.p50, f"{name} p99": single.p99}

    def _inbound(self, server: Server, load: Generator, name: str, burst: int) -> Figures:
        before = server.cpu()
        counted: Counted = load.inbound(burst, self._plan.seconds / 2, INBOUND_CLIENTS)
        return _per(name, server.cpu().since(before), counted.events)

    def _stalled(self, server: Server, load: Generator) -> Figures:
        """Clients that do not read among some that do: the others' latency, and the memory."""
        plan = self._plan
        _warm_up(load)
        load.connect(plan.stalled_among)
        alone = load.pace(plan.stalled_rate, plan.stalled_seconds / 2, STALLED_TEXT_BYTES)
        before = server.settled_memory()
        load.stall(plan.stalled_clients)
        load.ask(f"pace {plan.stalled_rate} {plan.stalled_seconds} {STALLED_TEXT_BYTES}")
        most = before
        while not load.answers_within(0.2):
            most = max(most, server.memory())
        beside = load.answer(Delivered)
        outcome = load.wake_stalled()
        return {
            "stalled MB": (max(most, server.memory()) - before) / 1024,
            "stalled cut": outcome.cut / outcome.stalled,
            "stalled p99": beside.p99,
            "stalled p99 without": alone.p99,
        }


def _warm_up(load: Generator) -> None:
    load.connect(_WARM_UP_CLIENTS)
    load.broadcast(16, 0.2, TEXT_BYTES)
    load.inbound(INBOUND_BURST, 0.2, INBOUND_CLIENTS)
    load.disconnect()


def _accounted(server: Server, work: Callable[[], Delivered]) -> tuple[Delivered, CPU]:
    before = server.cpu()
    done = work()
    return done, server.cpu().since(before)


def _per(name: str, used: CPU, count: int) -> Figures:
    """Microseconds of the server's processor for each of `count`."""
    return {f"{name} total": used.total / count * 1e6, f"{name} user": used.user / count * 1e6}


def measure(system: System, plan: Plan, where: Processors, tokens: Path, parts: Collection[Part]) -> Figures:
    """Take every figure of these parts of one system once.

    Raises:
        BrokenRun: if one of them cannot be trusted.
    """
    try:
        return Round(system, plan, where, tokens).measure(parts)
    except (OSError, subprocess.SubprocessError) as error:
        raise BrokenRun(f"{type(error).__name__}: {error}") from None
