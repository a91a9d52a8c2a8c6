"""Measures one system in one round."""

from __future__ import annotations

import contextlib
import subprocess
import tempfile
from collections.abc import Callable, Collection, Iterator
from functools import partial
from pathlib import Path

from benchmarks.accounting import accounted
from benchmarks.catalogue import BUILD, System
from benchmarks.certificate import Certificate, make_certificate
from benchmarks.generator import Generator
from benchmarks.kinds import other_kinds
from benchmarks.plan import INBOUND_BURST, INBOUND_CLIENTS, LARGE, TEXT_BYTES, Figures, Part, Plan
from benchmarks.processes import Processors
from benchmarks.room import one_at_a_time, one_room
from benchmarks.rooms import small_rooms
from benchmarks.server import BrokenRun, Server
from benchmarks.stalled import beside_stalled
from benchmarks.tls import with_and_without

_WARM_UP_CLIENTS = 50


class Round:
    """One system in one round."""

    def __init__(self, system: System, plan: Plan, where: Processors, tokens: Path) -> None:
        self._system = system
        self._plan = plan
        self._where = where
        self._tokens = tokens

    def measure(self, parts: Collection[Part]) -> Iterator[Figures]:
        """Measure these parts, each with its own process.

        Raises:
            BrokenRun: if one of them cannot be trusted.
        """
        takes: dict[Part, Callable[[Server, Generator], Iterator[Figures]]] = {
            "room": partial(one_room, self._system, self._plan),
            "levels": self._levels,
            "rooms": partial(small_rooms, self._plan),
            "kinds": partial(other_kinds, self._system, self._plan),
            "stalled": partial(beside_stalled, self._system, self._plan),
            "tls": self._tls,
        }
        for part, take in takes.items():
            if part in parts and self._has(part):
                with self._serving() as (server, load):
                    yield from take(server, load)

    def _has(self, part: Part) -> bool:
        if part == "tls" and not self._system.tls:
            return False
        return part == "room" or self._system.compared

    @contextlib.contextmanager
    def _serving(self, certificate: Certificate | None = None) -> Iterator[tuple[Server, Generator]]:
        """A server that is warm, and its load generator. Both use TLS if there is a certificate."""
        log, variables, trusted = BUILD / "server.log", dict[str, str](), None
        if certificate is not None:
            log, trusted = BUILD / "server-tls.log", certificate.certificate
            variables = certificate.variables(self._system.tls)
        with (
            Server(self._system, self._where.server, log, variables) as server,
            Generator(server.port, self._system.dialect, self._tokens, self._where.load, trusted) as load,
        ):
            _warm_up(load)
            yield server, load

    def _levels(self, server: Server, load: Generator) -> Iterator[Figures]:
        """Rooms of other sizes: memory of the connections, and cost of a delivery."""
        figures = Figures()
        empty = server.settled_memory()
        for level in sorted(self._plan.levels):
            if level > self._system.most_clients:
                break
            load.connect(level)
            figures[f"KB per connection at {level}"] = (server.settled_memory() - empty) / level
            figures |= one_at_a_time(server, load, f"W1 at {level}", self._plan.seconds)
            if level > LARGE:
                _, used = accounted(server, partial(load.idle, self._plan.idle_seconds))
                figures[f"idle at {level}"] = used.total / self._plan.idle_seconds * 100
        yield figures

    def _tls(self, server: Server, load: Generator) -> Iterator[Figures]:
        """The same system with TLS beside the one without."""
        with tempfile.TemporaryDirectory() as folder, self._serving(make_certificate(Path(folder))) as secure:
            yield from with_and_without(self._plan, secure, (server, load))


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
