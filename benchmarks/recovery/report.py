"""The tables: a session's results as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.plan import TEXT_BYTES
from benchmarks.recovery.results import OFF, ON, RecoveryResults
from benchmarks.tables import table

_RATIO, _MEMORY, _RETURN, _SERVED, _WAITED = 1.05, 300.0, 2.0, 10.0, 100.0
"""The targets: on to off; bytes; ms of processor time; s; ms."""
_DELIVERIES = ("W1 user", "W1 total", "W16 user", "W16 total")
_LOSSES = {
    "cut": "connections cut, same process",
    "stopped": "process stopped, another takes them",
    "killed": "process killed, another takes them",
}


def markdown(results: RecoveryResults) -> str:
    """Write all tables, after the conditions."""
    plan = results.plan
    unnamed = ("processor", "kernel", "processors", "gcc", "granian", "hypercorn", "channels", "load before")
    names = (f"{name} {value}" for name, value in sorted(results.machine.items()) if name not in unnamed)
    machine = ", ".join([results.machine["processor"], results.machine["kernel"], *names])
    parts = [
        "*Two servers side by side, without recovery (`MEW_RECOVERY_WINDOW=0`) and with it, measured by turns. Medians "
        f"of {plan.pairs} pairs. All clients ask for positions. {machine}.*",
        "**Broadcasts.** Processor time of the server for a delivery, in µs without and with recovery, and the median "
        "of the pairs' ratios. User: outside the kernel. The kernel samples it, so its ratio is that of "
        "the means. W1: one broadcast at a time. W16: sixteen at a time. "
        f"Target: {_RATIO}.",
        table(
            ["system", *(f"{name}{part}" for name in _DELIVERIES for part in (", µs", ", ratio"))], _deliveries(results)
        ),
        "**New clients.** Processor time for a handshake, and memory of an idle connection. "
        f"{plan.connected:,} clients. Target: {_MEMORY:.0f} bytes more.",
        table(["system", "handshake, µs", "ratio", "bytes, without and with", "bytes more"], _new_clients(results)),
        f"**A client that returns** and has missed {plan.missed} events of {TEXT_BYTES + 50} bytes: processor time of "
        "the server in ms, its handshake included. Beside it, the handshake of a new client. Node: socket.io with "
        f"`connectionStateRecovery`. Target: {_RETURN:.0f} ms.",
        table(["system", "returns, ms", "new client, ms", "recovered", "without all events"], _one(results)),
        f"**{plan.returning:,} clients that return at once**, with {plan.missed} missed events each, to a process on "
        f"one processor. {plan.others} others are there, and {plan.rate:g} broadcasts per second go to all. "
        "“Broadcasts” is the longest time from the request for a broadcast until one of the others has received it. "
        f"Targets: {_SERVED:.0f} s, {_WAITED:.0f} ms. “Without all events”: clients that were told that they had "
        "recovered, although events are missing. “Refused”: how often the server closed the connection of one that "
        "returned. It tried again after a second.",
        table(
            [
                "system",
                "how they were lost",
                "all are back, s",
                "recovered",
                "without all events",
                "refused",
                "broadcasts, ms",
                "processor, ms each",
            ],
            _many(results),
        ),
        *_not_measured(results),
    ]
    return "\n\n".join(parts) + "\n"


def _number(value: float | None, places: int) -> str:
    return "–" if value is None else f"{value:,.{places}f}"


def _both(results: RecoveryResults, system: str, figure: str, places: int) -> str:
    return " → ".join(_number(results.median(system, server, figure), places) for server in (OFF, ON))


def _deliveries(results: RecoveryResults) -> Iterator[list[str]]:
    for system in results.pairs:
        if results.ratio(system, "W1 total") is not None:
            cells = (
                (_both(results, system, figure, 2), _number(results.ratio(system, figure), 2)) for figure in _DELIVERIES
            )
            yield [system, *(cell for pair in cells for cell in pair)]


def _new_clients(results: RecoveryResults) -> Iterator[list[str]]:
    for system in results.pairs:
        if results.ratio(system, "handshake") is not None:
            yield [
                system,
                _both(results, system, "handshake", 0),
                _number(results.ratio(system, "handshake"), 2),
                _both(results, system, "memory", 0),
                _number(results.more(system, "memory"), 0),
            ]


def _shares(results: RecoveryResults, case: str) -> Iterator[str]:
    for figure in ("share", "incomplete"):
        value = results.returned(case, figure)
        yield "–" if value is None else f"{value:.0%}"


def _one(results: RecoveryResults) -> Iterator[list[str]]:
    for case in results.returns:
        if (used := results.returned(case, "return")) is not None:
            new = results.returned(case, "handshake")
            yield [case, _number(used, 2), _number(new, 2), *_shares(results, case)]


def _many(results: RecoveryResults) -> Iterator[list[str]]:
    for case in results.returns:
        system, _, loss = case.rpartition(": ")
        if loss in _LOSSES:
            yield [
                system,
                _LOSSES[loss],
                _number(results.returned(case, "seconds"), 1),
                *_shares(results, case),
                _number(results.returned(case, "refused"), 0),
                _number(results.returned(case, "longest"), 0),
                _number(results.returned(case, "processor"), 2),
            ]


def _not_measured(results: RecoveryResults) -> Iterator[str]:
    for label, found in (("Left out", results.missing), ("Broken", results.broken)):
        if found:
            yield f"{label}: " + "; ".join(f"{name} ({why})" for name, why in sorted(found.items())) + "."
