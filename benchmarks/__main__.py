"""Fan-out to one room: `make bench`, or `python -m benchmarks --clients 500 --rounds 5`.

Per system and round: idle memory per connection, then broadcasts one at a time (W1) and sixteen at
a time (W16). The figure is the server's processor time per delivered message, in microseconds.
Systems take turns in random order; medians are printed with their range, and ratios to ours.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
from pathlib import Path
from typing import TypeAlias

from benchmarks.clients import Crowd
from benchmarks.server import Server

SYSTEMS = ("asgi_realtime", "starlette_loop", "python_socketio")
FIGURES = ("W1 total", "W1 user", "W16 total", "W16 user", "KB per connection")
Figures: TypeAlias = dict[str, float]


def measure(system: str, clients: int, seconds: float) -> Figures:
    """Run one system once."""
    processors = sorted(os.sched_getaffinity(0))
    several = len(processors) > 1
    with Server(system, processors[0] if several else None) as server:
        if several:
            os.sched_setaffinity(0, {processors[1]})
        try:
            empty = server.resident()
            crowd = Crowd(server.port, clients)
            figures = {"KB per connection": (server.resident() - empty) / clients}
            sent = _burst(server, crowd, 0, 1, rounds=5)
            for name, width in (("W1", 1), ("W16", 16)):
                rounds = max(5, int(seconds * 20_000 / clients / width))
                before = server.cpu()
                after_sent = _burst(server, crowd, sent, width, rounds)
                user, total = (b - a for a, b in zip(before, server.cpu(), strict=True))
                deliveries = (after_sent - sent) * clients
                figures[f"{name} user"] = user / deliveries * 1e6
                figures[f"{name} total"] = total / deliveries * 1e6
                sent = after_sent
            crowd.close()
        finally:
            os.sched_setaffinity(0, set(processors))
    return figures


def _burst(server: Server, crowd: Crowd, first: int, width: int, rounds: int) -> int:
    for _ in range(rounds):
        server.broadcast(first, width)
        first += width
        crowd.receive(first)
        server.finish()
    return first


def main() -> None:
    """Measure, print, and write the figures beside this file's folder."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--clients", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="roughly how long one figure of one round takes")
    parser.add_argument("--json", type=Path, help="where to write every figure of every round")
    options = parser.parse_args()
    runs: dict[str, list[Figures]] = {system: [] for system in SYSTEMS}
    for _ in range(options.rounds):
        for system in random.sample(SYSTEMS, len(SYSTEMS)):
            runs[system].append(measure(system, options.clients, options.seconds))
    print(f"\n{options.clients} clients, medians of {options.rounds} rounds (min to max); µs of the server's processor")
    ours = {name: statistics.median(run[name] for run in runs[SYSTEMS[0]]) for name in FIGURES}
    print("| system | " + " | ".join(FIGURES) + " |\n|---|" + "---|" * len(FIGURES))
    for system, figures in runs.items():
        cells = []
        for name in FIGURES:
            values = [run[name] for run in figures]
            ratio = statistics.median(values) / ours[name] if ours[name] else float("nan")
            cells.append(f"{statistics.median(values):.1f} ({min(values):.1f} to {max(values):.1f}) ×{ratio:.1f}")
        print(f"| {system} | " + " | ".join(cells) + " |")
    if options.json:
        options.json.write_text(json.dumps(runs, indent=2))


if __name__ == "__main__":
    main()
