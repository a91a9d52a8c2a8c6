"""The tables: a session's results as Markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks.catalogue import LIMIT, LIMIT_JOINED, OWN_SOCKETIO, SYSTEMS
from benchmarks.plan import INBOUND_BURST, STALLED_TEXT_BYTES
from benchmarks.results import Results
from benchmarks.targets import first_measured, targets


def markdown(results: Results) -> str:
    """Write all tables, after the conditions."""
    plan = results.plan
    windows = f"medians of {results.count} windows in {plan.rounds} rounds (lowest to highest)"
    heading = f"{plan.clients} clients in one room, {windows if results.count > 1 else 'one window'}"
    parts = [
        f"*{heading}. {_conditions(results)}*",
        "**Fan-out.** Processor time of the server per delivered message, in µs: in total, and outside the kernel "
        "(user). W1: one broadcast at a time. W16: sixteen broadcasts at a time. p50 and p99: latency at "
        f"{plan.pace:g} broadcasts per second.",
        _fan_out(results),
        f"**Inbound and connecting.** Processor time in µs for an event (in bursts of {INBOUND_BURST}, with one answer "
        "per burst), for an event that is answered, and for a handshake. Memory of an idle connection in KB.",
        _connections(results),
        "**Growth.** Processor time in µs per delivery (W1), by the number of clients in the room.",
        _growth(results),
        *_stalled(results),
        *_mixed(results),
        "**Targets.** In µs unless another unit is given.",
        _targets(results),
        *_not_measured(results),
    ]
    return "\n\n".join(parts) + "\n"


def _conditions(results: Results) -> str:
    machine = dict(results.machine)
    count = machine.pop("processors")
    pinned = "server and load generator on one each" if int(count) > 1 else "server and load generator on the same"
    versions = ", ".join(f"{name} {value}" for name, value in machine.items() if name not in ("processor", "kernel"))
    return f"{machine['processor']}, {count} processors ({pinned}), {machine['kernel']}; {versions}."


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def _measured(results: Results) -> Iterator[str]:
    for system in SYSTEMS:
        if results.rounds.get(system.name):
            yield system.name


def _number(value: float) -> str:
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _cell(results: Results, system: str, figure: str) -> str:
    spread = results.spread(system, figure)
    if spread is None:
        return "–"
    if spread.low == spread.high:
        return _number(spread.median)
    return f"{_number(spread.median)} ({_number(spread.low)} to {_number(spread.high)})"


def _rows(results: Results, *cells: Callable[[str], str]) -> Iterator[list[str]]:
    for system in _measured(results):
        row = [cell(system) for cell in cells]
        if set(row) != {"–"}:  # not every figure is measured for every system
            yield [system, *row]


def _of(results: Results, figure: str) -> Callable[[str], str]:
    return lambda system: _cell(results, system, figure)


def _thousands(results: Results, figure: str) -> Callable[[str], str]:
    def cell(system: str) -> str:
        value = results.median(system, figure)
        return "–" if value is None else f"{value / 1000:.0f} 000" if value >= 10_000 else f"{value:.0f}"

    return cell


def _ratio(results: Results, figure: str, reference: str) -> Callable[[str], str]:
    def cell(system: str) -> str:
        value, other = results.median(system, figure), results.median(reference, figure)
        return f"{value / other:.2f}" if value and other else "–"

    return cell


def _fan_out(results: Results) -> str:
    own = first_measured(results, OWN_SOCKETIO)
    head = ("system", "W1 total", "user", "W16 total", "user", "deliveries/s W1", "p50 ms", "p99 ms")
    ratios = ("W1 : C", "W1 : own", "W16 : C joined", "W16 : own")
    rows = _rows(
        results,
        _of(results, "W1 total"),
        _of(results, "W1 user"),
        _of(results, "W16 total"),
        _of(results, "W16 user"),
        _thousands(results, "W1 deliveries/s"),
        _of(results, "paced p50"),
        _of(results, "paced p99"),
        _ratio(results, "W1 total", LIMIT),
        _ratio(results, "W1 total", own),
        _ratio(results, "W16 total", LIMIT_JOINED),
        _ratio(results, "W16 total", own),
    )
    return table((*head, *ratios), rows) + f"\n\n“Own” is {own}."


def _connections(results: Results) -> str:
    levels = [level for level in sorted({results.plan.clients, *results.plan.levels}) if 500 <= level <= 5_000]
    head = ("system", "inbound", "answered", "handshake", "handshakes/s", *(f"KB at {level}" for level in levels))
    rows = _rows(
        results,
        _of(results, "inbound total"),
        _of(results, "answered total"),
        _of(results, "handshake total"),
        _thousands(results, "handshakes/s"),
        *(_of(results, f"KB per connection at {level}") for level in levels),
    )
    return table(head, rows)


def _growth(results: Results) -> str:
    plan = results.plan
    levels = sorted({plan.clients, *plan.levels})
    figures = ["W1 total" if level == plan.clients else f"W1 at {level} total" for level in levels]
    return table(
        ("system", *(f"{level} clients" for level in levels)),
        _rows(results, *(_of(results, figure) for figure in figures)),
    )


def _stalled(results: Results) -> Iterator[str]:
    """The latency of the other clients while one does not read, if that was measured."""
    plan = results.plan
    count = min((found for name in _measured(results) if (found := results.times(name, "stalled p99"))), default=0)
    if count:
        windows = "one window" if count == 1 else f"medians (lowest to highest) of at least {count} windows"
        yield (
            f"**A client that does not read.** One such client beside {plan.stalled_among} others, at "
            f"{plan.stalled_rate:g} broadcasts of {STALLED_TEXT_BYTES // 1000} KB per second: {windows} of "
            f"{plan.stalled_window:g} s. Each follows a window without such a client, and begins when the kernel's "
            "buffers for the client are full. The columns show the growth of the server's memory, whether the client "
            "was disconnected, and the latency of the others in ms, with and without that client. The ratio compares "
            "a window with the one before it."
        )
        yield _beside_stalled(results)


def _beside_stalled(results: Results) -> str:
    waiting = {system.name for system in SYSTEMS if system.waits_for_stalled}

    def cut(system: str) -> str:
        if system in waiting:
            return "no: all others wait for it"
        share = results.spread(system, "stalled cut")
        return "–" if share is None else "yes" if share.low == 1 else "no" if share.high == 0 else "not always"

    rows = _rows(
        results,
        _of(results, "stalled MB"),
        cut,
        _of(results, "stalled p50"),
        _of(results, "stalled p50 without"),
        _of(results, "stalled p99"),
        _of(results, "stalled p99 without"),
        _of(results, "stalled p99 ratio"),
    )
    return table(
        ("system", "MB", "disconnected", "p50 with", "without", "p99 with", "without", "p99 with : without"), rows
    )


def _mixed(results: Results) -> Iterator[str]:
    """What was checked while clients came and went, if asgi_realtime was measured."""
    checked = [
        figures for system in SYSTEMS for figures in results.rounds.get(system.name, ()) if "mixed moves" in figures
    ]
    messages, moves = (sum(figures[f"mixed {what}"] for figures in checked) for what in ("messages", "moves"))
    if checked:
        yield (
            f"**Clients that come and go.** {messages:.0f} messages to asgi_realtime's clients, sixteen at a time. Of "
            f"every ten clients, one left the room and joined it again ({moves:.0f} times in total), one sent events "
            "that were answered, and one read only from time to time. Every client received every message once and in "
            "order while it was in the room."
        )


def _targets(results: Results) -> str:
    words = {True: "met", False: "**missed**", None: "not measured"}
    rows = (
        [
            target.name,
            *("–" if value is None else _number(value) for value in (target.measured, target.bound)),
            words[target.met],
        ]
        for target in targets(results)
    )
    return table(("target", "measured", "at most", ""), rows)


def _not_measured(results: Results) -> Iterator[str]:
    if results.missing:
        yield "**Not measured:** " + "; ".join(f"{name}: {why}" for name, why in results.missing.items()) + "."
    if results.broken:
        yield "**Failed:** " + "; ".join(f"{name}: {why}" for name, why in results.broken.items()) + "."
