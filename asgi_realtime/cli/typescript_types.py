"""`python -m asgi_realtime types`: write TypeScript types."""

from __future__ import annotations

from pathlib import Path

import click

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.generated_files import make_files
from asgi_realtime.schema.typescript.files import file_name, typescript


@click.command(
    epilog=examples(
        "asgi-realtime types app.gateways:ChatRoom --output web/src/events",
        "asgi-realtime types app.gateways:ChatRoom --output web/src/events --check",
    )
)
@click.argument("gateways", nargs=-1, metavar="[MODULE:GATEWAY]...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY|FILE.ts",
    help="Directory for one file per gateway, or the file for a single gateway. Default: print.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is not what would be written.")
def types(gateways: tuple[str, ...], output: Path | None, check: bool) -> None:
    """Write TypeScript types of the events of gateways.

    MODULE:GATEWAY is a gateway class or instance. Default: all gateways of the package.
    """
    make_files(gateways, output, check=check, comment="//", file_name=file_name, text_of=typescript)
