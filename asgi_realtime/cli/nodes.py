"""`asgi-realtime nodes`: the processes of a running app."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Final

import click

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.output import BAD, GOOD, ShowTable, print_json, print_table, repeated_table
from asgi_realtime.cli.reaching import console_option, running_app
from asgi_realtime.cli.running_app import RunningApp, print_incomplete, run
from asgi_realtime.values.questions import Answer, Node

EVERY: Final = 2.0
"""Seconds between two questions of `--watch`."""


@click.command(
    epilog=examples(
        "asgi-realtime nodes", "asgi-realtime nodes --watch", "asgi-realtime nodes --console https://app.example.com"
    )
)
@click.option("--watch", is_flag=True, help=f"Ask again every {EVERY:g} seconds, until Ctrl-C.")
@console_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def nodes(watch: bool, console: str | None, as_json: bool) -> None:
    """Show the processes that serve clients, and the connections of each gateway.

    Each process is asked, through the Redis of MEW_REDIS_URL or a console. MEW_REDIS_URL and the other variables are
    those of the app.

    Exit codes: 0 all have answered, 1 one has not, 2 wrong usage, 75 Redis or the console did not answer.
    """
    try:
        raise SystemExit(run(_show(watch, console, as_json)))
    except KeyboardInterrupt:
        if not watch:
            raise


async def _show(watch: bool, console: str | None, as_json: bool) -> int:
    async with running_app(console) as app:
        with repeated_table() if watch else contextlib.nullcontext(print_table) as show_table:
            while True:
                found = await app.nodes()
                if as_json:
                    _print_json(found)
                else:
                    _print(app, found, show_table)
                if not watch:
                    return 0 if found.complete and found.value else 1
                await asyncio.sleep(EVERY)


def _print_json(found: Answer[list[Node]]) -> None:
    nodes = [{"id": node.id, "connections": node.connections} for node in found.value]
    print_json({"complete": found.complete, "missing": found.missing, "nodes": nodes})


def _print(app: RunningApp, found: Answer[list[Node]], show: ShowTable) -> None:
    gateways = sorted({gateway for node in found.value for gateway in node.connections})

    def row(name: str, nodes: list[Node]) -> tuple[str, ...]:
        numbers = [sum(node.connections.get(gateway, 0) for node in nodes) for gateway in gateways]
        return name, *map(str, [sum(numbers), *numbers])

    rows = [row(node.id, [node]) for node in found.value]
    rows += [(process, "does not answer", *[""] * len(gateways)) for process in found.missing]
    styles = [GOOD] * len(found.value) + [BAD] * len(found.missing)
    if len(found.value) > 1:
        rows.append(row("together", found.value))
        styles.append("")
    if rows:
        show(("process", "connections", *gateways), rows, styles=styles)
    if not found.value:
        click.echo(app.no_process_answers(found.missing), err=True)
    elif not found.complete and not found.missing:
        print_incomplete(found.missing)
