"""Measure a room on a server with TLS, in turn with the same room on one without. Both run on the same processor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from benchmarks.generator import Generator
from benchmarks.plan import INBOUND_BURST, Figures, Plan
from benchmarks.room import connecting, inbound, one_at_a_time, sixteen_at_a_time
from benchmarks.server import Server

WITH, WITHOUT = "TLS", "plain"
"""How the names of the figures begin."""
_Serving: TypeAlias = tuple[Server, Generator]


def with_and_without(plan: Plan, secure: _Serving, plain: _Serving) -> Iterator[Figures]:
    """The figures of each window, after those of the connections. Windows are half as long as those of one room."""
    both: Mapping[str, _Serving] = {WITH: secure, WITHOUT: plain}
    for kind, (server, load) in both.items():
        yield _named(kind, connecting(plan, server, load))
    for _ in range(plan.windows):
        for kind, (server, load) in both.items():
            yield _named(kind, _window(server, load, plan.seconds / 2))


def _window(server: Server, load: Generator, seconds: float) -> Figures:
    figures = one_at_a_time(server, load, "W1", seconds) | sixteen_at_a_time(server, load, "W16", seconds)
    return figures | inbound(server, load, "inbound", INBOUND_BURST, seconds / 2)


def _named(kind: str, figures: Figures) -> Figures:
    return {f"{kind} {name}": figure for name, figure in figures.items()}
