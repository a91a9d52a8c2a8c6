"""The tables: a session's results as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Sequence

from benchmarks.cluster.measure import TOGETHER
from benchmarks.cluster.publisher import TEXT_BYTES
from benchmarks.cluster.results import ClusterResults
from benchmarks.cluster.systems import JOINED, JoinedSystem
from benchmarks.tables import table

_SHARE = 0.5
"""The part of one processor that Redis may use on average, in the tables of capacity."""


def markdown(results: ClusterResults) -> str:
    """Write all tables, after the conditions."""
    plan = results.plan
    unnamed = ("processor", "kernel", "gcc", "granian", "hypercorn")
    names = (f"{name} {value}" for name, value in sorted(results.machine.items()) if name not in unnamed)
    machine = ", ".join([results.machine["processor"], results.machine["kernel"], *names])
    rounds = f"Medians of {plan.rounds} rounds" if plan.rounds > 1 else "One round"
    parts = [
        f"*{rounds}, messages of {TEXT_BYTES} bytes, one client on each process that receives. {machine}.*",
        "Processor time for one publication, in µs, with one process that publishes and one that receives. Published "
        f"one at a time, {TOGETHER} at a time, and a thousand per second with an HTTP request for each. The last "
        f"column compares publisher and receiver together, {TOGETHER} at a time, with the first row."
        f"{_without_order(results)}",
        _two_processes(results),
        f"Time from the request to the client of another process, at {1000:,} publications per second. Beside it, "
        "what each publication costs a process without a member of the room, and the commands that Redis runs.",
        _elsewhere(results),
        f"Processor time for one publication, in µs, {TOGETHER} at a time, by the number of processes. All but the "
        "publisher have a member of the room.",
        _growth(results),
        *_capacity(results),
        *_not_measured(results),
    ]
    return "\n\n".join(parts) + "\n"


def _without_order(results: ClusterResults) -> str:
    names = ", ".join(system.name for system in _measured(results) if not system.ordered)
    return f" Messages that are published at the same time may arrive in another order: {names}." if names else ""


def _number(value: float | None) -> str:
    if value is None:
        return "–"
    value = max(value, 0.0)
    return f"{value:.2f}" if value < 10 else f"{value:.1f}" if value < 100 else f"{value:.0f}"


def _measured(results: ClusterResults) -> Iterator[JoinedSystem]:
    return (system for system in JOINED if results.rounds.get(system.name))


def _rows(results: ClusterResults, figures: Sequence[str]) -> Iterator[list[str]]:
    for system in _measured(results):
        yield [system.name, *(_number(results.median(system.name, figure)) for figure in figures)]


def _two_processes(results: ClusterResults) -> str:
    ways = {"one": "one", "burst": str(TOGETHER), "paced": "1000/s"}
    roles = ("publisher", "receiver", "Redis")
    figures = [f"{way}: {role}" for way in ways for role in roles]
    head = ["system", "history", *(f"{role}, {label}" for label in ways.values() for role in roles), "ratio"]
    both = {system.name: _both(results, system.name) for system in _measured(results)}
    base = next(iter(both.values()), None)
    rows = []
    for (name, *cells), system in zip(_rows(results, figures), _measured(results), strict=True):
        cost = both[name]
        ratio = f"{cost / base:.1f}" if cost and base else "–"
        rows.append([name, "yes" if system.history else "no", *cells, ratio])
    return table(head, rows)


def _both(results: ClusterResults, name: str) -> float | None:
    publisher, receiver = (results.median(name, f"burst: {role}") for role in ("publisher", "receiver"))
    return None if publisher is None or receiver is None else publisher + receiver


def _elsewhere(results: ClusterResults) -> str:
    columns = {
        "p50": "p50 ms",
        "p99": "p99 ms",
        "rate": "publications/s reached",
        "elsewhere: processor": "without members, µs",
        "elsewhere: bytes": "bytes from Redis",
        "burst: commands": "commands for a publication",
        "idle: commands": "idle, commands/s of a process",
    }
    return table(["system", *columns.values()], _rows(results, list(columns)))


def _growth(results: ClusterResults) -> str:
    names = _sizes(results)
    roles = ("publisher", "receiver", "Redis")
    figures = [f"{name}: {role}" for role in roles for name in names.values()]
    head = ["system", *(f"{role}, {size}" for role in roles for size in names)]
    return table(head, _rows(results, figures))


def _capacity(results: ClusterResults) -> Iterator[str]:
    """Publications per second, from a straight line through Redis' processor time in clusters of each size."""
    if len(results.plan.sizes) < 2:
        return
    counts = (1, 2, 5, 10, 50)
    rows = []
    for system in filter(lambda each: each.own, _measured(results)):
        points = [(size - 1, results.median(system.name, f"{name}: Redis")) for size, name in _sizes(results).items()]
        receivers, costs = zip(*((count, cost) for count, cost in points if cost is not None), strict=True)
        each, base = statistics.linear_regression(receivers, costs)
        if each < 0:  # noise
            each, base = 0.0, statistics.mean(costs)
        rates = (_SHARE * 1e6 / (base + each * count) for count in counts)
        rows.append([system.name, _number(base), _number(each), *(f"{rate:,.0f}" for rate in rates)])
    if rows:
        processes = (f"{count} process{'es' if count > 1 else ''}" for count in counts)
        yield (
            f"What one Redis carries at {_SHARE:.0%} of one processor: publications per second, by the number of "
            "processes that have members of a room. Computed from a straight line through Redis' times above."
        )
        yield table(["system", "µs for a publication", "µs for each process", *processes], rows)


def _sizes(results: ClusterResults) -> dict[int, str]:
    """The name of the measurement for each number of processes."""
    return {size: "burst" if size == results.plan.sizes[0] else f"{size} nodes" for size in results.plan.sizes}


def _not_measured(results: ClusterResults) -> Iterator[str]:
    for label, found in (("Left out", results.missing), ("Broken", results.broken)):
        if found:
            yield f"{label}: " + "; ".join(f"{name} ({why})" for name, why in sorted(found.items())) + "."
