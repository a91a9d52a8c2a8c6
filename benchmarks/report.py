"""The tables: a session's results as Markdown."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.catalogue import LIMIT, LIMIT_JOINED, OWN_SOCKETIO, SYSTEMS
from benchmarks.plan import INBOUND_BURST, LARGE, STALLED_TEXT_BYTES
from benchmarks.report_kinds import other_kinds
from benchmarks.report_rooms import small_rooms
from benchmarks.report_tls import tls
from benchmarks.results import Results
from benchmarks.tables import measured, number, of, ratio, rows, table, thousands
from benchmarks.targets import first_measured, targets


def markdown(results: Results) -> str:
    """Write all tables, after the conditions."""
    plan = results.plan
    windows = f"medians of {results.count} windows in {plan.rounds} rounds (lowest to highest)"
    heading = f"{plan.clients} clients in one room, {windows if results.count > 1 else 'one window'}"
    parts = [
        f"*{heading}. {_conditions(results)}*",
        "**Fan-out.** Processor time of the server per delivered message, in µs: in total, and outside the kernel "
        "(user). W1: one broadcast at a time. W16: sixteen broadcasts at a time. burst16: sixteen that "
        "the server begins at once. p50 and p99: latency at "
        f"{plan.pace:g} broadcasts per second.",
        _fan_out(results),
        f"**Inbound and connecting.** Processor time in µs for an event (in bursts of {INBOUND_BURST}, with one answer "
        "per burst), for an event that is answered, and for a handshake. Memory of an idle connection in KB.",
        _connections(results),
        "**Growth.** Processor time in µs per delivery (W1), by the number of clients in the room.",
        *_growth(results),
        *small_rooms(results),
        *other_kinds(results),
        *tls(results),
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


def _fan_out(results: Results) -> str:
    own = first_measured(results, OWN_SOCKETIO)
    head = ("system", "W1 total", "user", "W16 total", "user", "burst16", "deliveries/s W1", "p50 ms", "p99 ms")
    ratios = ("W1 : C", "W1 : own", "W16 : C joined", "W16 : own", "burst16 : C joined")
    lines = rows(
        results,
        of(results, "W1 total"),
        of(results, "W1 user"),
        of(results, "W16 total"),
        of(results, "W16 user"),
        of(results, "burst16 total"),
        thousands(results, "W1 deliveries/s"),
        of(results, "paced p50"),
        of(results, "paced p99"),
        ratio(results, "W1 total", LIMIT),
        ratio(results, "W1 total", own),
        ratio(results, "W16 total", LIMIT_JOINED),
        ratio(results, "W16 total", own),
        ratio(results, "burst16 total", LIMIT_JOINED),
    )
    return table((*head, *ratios), lines) + f"\n\n“Own” is {own}."


def _connections(results: Results) -> str:
    levels = [level for level in sorted({results.plan.clients, *results.plan.levels}) if level >= 500]
    head = ("system", "inbound", "answered", "handshake", "handshakes/s", *(f"KB at {level}" for level in levels))
    lines = rows(
        results,
        of(results, "inbound total"),
        of(results, "answered total"),
        of(results, "handshake total"),
        thousands(results, "handshakes/s"),
        *(of(results, f"KB per connection at {level}") for level in levels),
    )
    return table(head, lines)


def _growth(results: Results) -> Iterator[str]:
    plan = results.plan
    levels = sorted({plan.clients, *plan.levels})
    figures = ["W1 total" if level == plan.clients else f"W1 at {level} total" for level in levels]
    yield table(
        ("system", *(f"{level} clients" for level in levels)),
        rows(results, *(of(results, figure) for figure in figures)),
    )
    large = [level for level in plan.levels if level > LARGE]
    if any(results.median(system, f"idle at {level}") for level in large for system in measured(results)):
        yield (
            "Share of a processor in per cent while nothing is sent but heartbeats, for "
            f"{plan.idle_seconds:g} s, by the number of clients:"
        )
        yield table(
            ("system", *(f"{level} clients" for level in large)),
            rows(results, *(of(results, f"idle at {level}") for level in large)),
        )


def _stalled(results: Results) -> Iterator[str]:
    """The latency of the other clients while one does not read, if that was measured."""
    plan = results.plan
    count = min((found for name in measured(results) if (found := results.times(name, "stalled p99"))), default=0)
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

    lines = rows(
        results,
        of(results, "stalled MB"),
        cut,
        of(results, "stalled p50"),
        of(results, "stalled p50 without"),
        of(results, "stalled p99"),
        of(results, "stalled p99 without"),
        of(results, "stalled p99 ratio"),
    )
    return table(
        ("system", "MB", "disconnected", "p50 with", "without", "p99 with", "without", "p99 with : without"), lines
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
    lines = (
        [
            target.name,
            *("–" if value is None else number(value) for value in (target.measured, target.bound)),
            words[target.met],
        ]
        for target in targets(results)
    )
    return table(("target", "measured", "at most", ""), lines)


def _not_measured(results: Results) -> Iterator[str]:
    if results.missing:
        yield "**Not measured:** " + "; ".join(f"{name}: {why}" for name, why in results.missing.items()) + "."
    if results.broken:
        yield "**Failed:** " + "; ".join(f"{name}: {why}" for name, why in results.broken.items()) + "."
