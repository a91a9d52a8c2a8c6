"""`asgi-realtime asyncapi diff`: find out whether a new document breaks clients of an old one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click
import msgspec

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.output import BAD, GOOD, print_json, print_table
from asgi_realtime.schema.asyncapi.diff.alternatives import UnreadableDocument
from asgi_realtime.schema.asyncapi.diff.differences import differences

_FILE = click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True)


@click.command(epilog=examples("asgi-realtime asyncapi diff released.json asyncapi.json"))
@click.argument("old", type=_FILE)
@click.argument("new", type=_FILE)
@click.option("--json", "as_json", is_flag=True, help="Print the differences as JSON.")
def diff(old: Path, new: Path, as_json: bool) -> None:
    """Compare two AsyncAPI documents, and say which differences break clients.

    A client is written to OLD and meets a server of NEW. OLD or NEW may be - for the standard input.

    Exit codes: 0 no difference breaks clients, 1 one does, 2 a document cannot be read.
    """
    documents = [_read(path) for path in (old, new)]
    try:
        found = differences(*documents)
    except UnreadableDocument as error:
        raise click.BadParameter(str(error)) from None
    if as_json:
        print_json([msgspec.structs.asdict(one) for one in found])
    elif not found:
        click.echo("no differences")
    else:
        rows = [("breaks" if one.breaking else "fine", one.place, one.change) for one in found]
        print_table(("", "", ""), rows, styles=[BAD if one.breaking else GOOD for one in found])
    if any(one.breaking for one in found):
        raise SystemExit(1)


def _read(path: Path) -> Any:
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"{path}: {error}") from None
