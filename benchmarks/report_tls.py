"""The table of TLS."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.catalogue import SYSTEMS
from benchmarks.results import Results
from benchmarks.tables import measured, of, rows, table
from benchmarks.tls import WITH, WITHOUT


def tls(results: Results) -> Iterator[str]:
    """What TLS costs, or why it was not measured."""
    if not any(results.median(system, f"{WITH} W1 total") for system in measured(results)):
        why = results.unmeasured.get("tls")
        yield "**TLS.** Not measured." if why is None else f"**TLS.** Not measured: {why}."
        return
    clients = results.plan.clients
    left_out = "; ".join(system.name for system in SYSTEMS if system.compared and not system.tls)
    yield (
        f"**TLS.** A room of {clients} clients on a server that terminates TLS 1.3 itself, in turn with the same room "
        "on a server without TLS. Processor time in µs for a delivery, for an event (in bursts, as above) and for a "
        "handshake; memory of an idle connection in KB. Left out, because they are built here without TLS: "
        f"{left_out}."
    )
    columns = {
        "W1": "W1 total",
        "W16": "W16 total",
        "inbound": "inbound total",
        "handshake": "handshake total",
        "KB": f"KB per connection at {clients}",
    }
    yield table(
        ("system", *(f"{name} {suffix}" for name in columns for suffix in ("with", "without"))),
        rows(results, *(of(results, f"{kind} {figure}") for figure in columns.values() for kind in (WITH, WITHOUT))),
    )
