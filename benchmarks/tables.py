"""Tables in Markdown, and their cells."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks.catalogue import SYSTEMS
from benchmarks.results import Results


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def measured(results: Results) -> Iterator[str]:
    """The names of the systems that were measured."""
    for system in SYSTEMS:
        if results.rounds.get(system.name):
            yield system.name


def number(value: float) -> str:
    """A figure with three digits."""
    return f"{value:.2f}" if abs(value) < 10 else f"{value:.1f}" if abs(value) < 100 else f"{value:.0f}"


def _cell(results: Results, system: str, figure: str) -> str:
    spread = results.spread(system, figure)
    if spread is None:
        return "–"
    if spread.low == spread.high:
        return number(spread.median)
    return f"{number(spread.median)} ({number(spread.low)} to {number(spread.high)})"


def rows(results: Results, *cells: Callable[[str], str]) -> Iterator[list[str]]:
    """A row for each system of which a figure was measured: its name, and its cells."""
    for system in measured(results):
        row = [cell(system) for cell in cells]
        if set(row) != {"–"}:  # not every figure is measured for every system
            yield [system, *row]


def of(results: Results, figure: str) -> Callable[[str], str]:
    """Cells with the median of a figure, the lowest and the highest."""
    return lambda system: _cell(results, system, figure)


def thousands(results: Results, figure: str) -> Callable[[str], str]:
    """Cells with the median of a large figure."""

    def cell(system: str) -> str:
        value = results.median(system, figure)
        return "–" if value is None else f"{value / 1000:.0f} 000" if value >= 10_000 else f"{value:.0f}"

    return cell


def ratio(results: Results, figure: str, reference: str) -> Callable[[str], str]:
    """Cells with a figure as a multiple of that of another system."""

    def cell(system: str) -> str:
        value, other = results.median(system, figure), results.median(reference, figure)
        return f"{value / other:.2f}" if value and other else "–"

    return cell
