"""What commands print: coloured tables on a terminal, plain lines where the output is a file or a pipe."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import click
from rich import box
from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

GOOD, BAD = "green", "red"


def print_json(value: Any) -> None:
    """Print a value as one line of JSON."""
    click.echo(json.dumps(value))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, styles: Sequence[str] = ()) -> None:
    """Print rows of cells.

    On a terminal it is a table as wide as the terminal, whose long cells wrap. `styles` are rich's styles for the first
    cell of each row; NO_COLOR leaves the colours out. Elsewhere each row is one line: cells are separated by two or
    more spaces, and nothing is cut or wrapped, so that `grep` finds every row.
    """
    console = Console()
    if console.is_terminal:
        console.print(_table(headings, rows, styles))
        return
    lines = [[visible(cell) for cell in row] for row in ([headings] if any(headings) else []) + list(rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _table(headings: Sequence[str], rows: Sequence[Sequence[str]], styles: Sequence[str]) -> Table:
    named = any(headings)
    table = Table(*headings, box=box.SIMPLE_HEAD if named else None, show_header=named, pad_edge=False)
    table.columns[0].no_wrap = True
    for number, row in enumerate(rows):
        first, *others = map(visible, row)
        style = styles[number] if styles else ""
        table.add_row(Text(first, style=style), *map(Text, others))
    return table


class ShowTable(Protocol):
    """Shows a table. See `print_table`."""

    def __call__(
        self, headings: Sequence[str], rows: Sequence[Sequence[str]], /, *, styles: Sequence[str] = ()
    ) -> None:
        """Show it."""


@contextlib.contextmanager
def repeated_table() -> Iterator[ShowTable]:
    """Give a function that shows a table again and again: on a terminal in the same place, elsewhere below the last."""
    console = Console()
    if not console.is_terminal:
        yield print_table
        return
    with Live(console=console, auto_refresh=False) as live:

        def show(headings: Sequence[str], rows: Sequence[Sequence[str]], /, *, styles: Sequence[str] = ()) -> None:
            live.update(_table(headings, rows, styles), refresh=True)

        yield show


@contextlib.contextmanager
def progress(step: str) -> Iterator[None]:
    """Show on the standard error that a step runs: a moving sign on a terminal, which disappears, or else a line."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(Text(step)):
            yield
    else:
        click.echo(step, err=True)
        yield


def visible(text: str) -> str:
    r"""The text with `\u….` for characters that a terminal would obey or hide, such as escape sequences."""
    return "".join(each if each.isprintable() else json.dumps(each)[1:-1] for each in text)
