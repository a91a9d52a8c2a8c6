"""`python -m benchmarks.collector`: how long Python's garbage collector stops a server that has many connections.

With its defaults, after `gc.freeze()`, and with a threshold a hundred times as large, in turn, in one process.
"""

from __future__ import annotations

import argparse
import json
import sys
import urllib.request
from dataclasses import replace
from typing import TypeAlias

from benchmarks import processes
from benchmarks.accounting import accounted
from benchmarks.build import build
from benchmarks.catalogue import BUILD, OWN_SOCKETIO, named
from benchmarks.generator import Generator
from benchmarks.plan import FULL, INBOUND_BURST, TEXT_BYTES
from benchmarks.server import Server
from benchmarks.tables import table
from benchmarks.tokens import write_tokens

SETTINGS = ("default", "freeze", "threshold")
Pauses: TypeAlias = dict[str, list[float]]
"""Seconds of each collection, by generation."""


def _ask(server: Server, wanted: str) -> Pauses:
    request = urllib.request.Request(f"http://127.0.0.1:{server.port}/collector/{wanted}", method="POST")
    with urllib.request.urlopen(request) as answer:
        pauses: Pauses = json.load(answer)
        return pauses


def _longest(pauses: Pauses, generation: int) -> str:
    times = pauses.get(str(generation), [])
    return f"{len(times)} (longest {max(times) * 1e3:.1f} ms)" if times else "0"


def _measured(server: Server, load: Generator, setting: str, clients: int, seconds: float) -> list[str]:
    _ask(server, setting)
    sent, delivering = accounted(server, lambda: load.broadcast(1, seconds, TEXT_BYTES))
    counted, handling = accounted(server, lambda: load.inbound(INBOUND_BURST, seconds, clients))
    pauses = _ask(server, "pauses")
    full = _ask(server, "full")["2"][0]
    return [
        setting,
        f"{delivering.total / sent.deliveries * 1e6:.2f}",
        f"{handling.total / counted.events * 1e6:.2f}",
        *(_longest(pauses, generation) for generation in (0, 1, 2)),
        f"{full * 1e3:.1f}",
    ]


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collector", description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=max(FULL.levels), help="number of connections")
    parser.add_argument("--seconds", type=float, default=5.0, help="shortest duration of a window")
    parser.add_argument("--turns", type=int, default=3, help="windows with each setting")
    options = parser.parse_args()
    clients = min(options.clients, processes.raise_file_limit() - 200)
    build()
    system = named(OWN_SOCKETIO[0])
    app = {"benchmarks.systems.own_socketio:app": "benchmarks.systems.collected:app"}
    system = replace(system, command=tuple(app.get(part, part) for part in system.command))
    where = processes.processors()
    with (
        Server(system, where.server, BUILD / "server.log") as server,
        Generator(server.port, system.dialect, write_tokens(clients), where.load) as load,
    ):
        load.connect(clients)
        connecting = _ask(server, "pauses")
        print(f"{clients} clients, {sys.version.split()[0]}. While they connected:", end=" ")
        print(", ".join(f"generation {number}: {_longest(connecting, number)}" for number in (0, 1, 2)))
        lines = [
            _measured(server, load, setting, clients, options.seconds)
            for _ in range(options.turns)
            for setting in SETTINGS
        ]
    head = ("setting", "W1, µs", "inbound event, µs", "generation 0", "generation 1", "generation 2", "full, ms")
    print(table(head, sorted(lines, key=lambda line: SETTINGS.index(line[0]))))


if __name__ == "__main__":
    main()
