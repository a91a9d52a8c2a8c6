"""Measure one room: what it takes to connect, broadcasts to all its clients, and their events."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.accounting import accounted, per_item
from benchmarks.catalogue import System
from benchmarks.generator import Generator
from benchmarks.plan import INBOUND_BURST, INBOUND_CLIENTS, TEXT_BYTES, Figures, Plan
from benchmarks.server import Server

_FIRST_SECONDS = 0.2


def one_room(system: System, plan: Plan, server: Server, load: Generator) -> Iterator[Figures]:
    """The figures of each window, after those of the connections."""
    yield connecting(plan, server, load)
    for _ in range(plan.windows):
        yield _window(plan, server, load)
    if system.own:
        mixed = load.mixed(2 * plan.seconds, TEXT_BYTES)
        yield {"mixed messages": mixed.messages, "mixed moves": mixed.moves}


def connecting(plan: Plan, server: Server, load: Generator) -> Figures:
    """Let all clients connect: their handshakes, and the memory of their connections."""
    empty, before = server.settled_memory(), server.cpu()
    entered = load.connect(plan.clients)
    used = server.cpu().since(before)
    figures = {
        f"KB per connection at {plan.clients}": (server.settled_memory() - empty) / plan.clients,
        "handshake total": used.total / entered.connected * 1e6,
        "handshakes/s": entered.connected / entered.seconds,
    }
    load.broadcast(16, _FIRST_SECONDS, TEXT_BYTES)  # sockets and caches reach their size
    return figures


def _window(plan: Plan, server: Server, load: Generator) -> Figures:
    """One window of each measurement in the room."""
    figures = one_at_a_time(server, load, "W1", plan.seconds) | sixteen_at_a_time(server, load, "W16", plan.seconds)
    burst, used = accounted(server, lambda: load.broadcast(16, plan.seconds, TEXT_BYTES, together=16))
    figures |= per_item("burst16", used, burst.deliveries)
    paced = load.pace(plan.pace, 2 * plan.seconds, TEXT_BYTES)
    figures |= {"paced p50": paced.p50, "paced p99": paced.p99}
    for name, events in (("inbound", INBOUND_BURST), ("answered", 1)):
        figures |= inbound(server, load, name, events, plan.seconds / 2)
    return figures


def one_at_a_time(server: Server, load: Generator, name: str, seconds: float) -> Figures:
    """Broadcasts, each when all clients have the one before."""
    single, used = accounted(server, lambda: load.broadcast(1, seconds, TEXT_BYTES))
    figures = per_item(name, used, single.deliveries)
    figures[f"{name} deliveries/s"] = single.deliveries / single.seconds
    return figures | {f"{name} p50": single.p50, f"{name} p99": single.p99}


def sixteen_at_a_time(server: Server, load: Generator, name: str, seconds: float) -> Figures:
    """Broadcasts by sixteen, each sixteen when all clients have those before."""
    many, used = accounted(server, lambda: load.broadcast(16, seconds, TEXT_BYTES))
    return per_item(name, used, many.deliveries) | {f"{name} deliveries/s": many.deliveries / many.seconds}


def inbound(server: Server, load: Generator, name: str, burst: int, seconds: float) -> Figures:
    """Bursts of events, of which the last is answered."""
    counted, used = accounted(server, lambda: load.inbound(burst, seconds, INBOUND_CLIENTS))
    return per_item(name, used, counted.events)
