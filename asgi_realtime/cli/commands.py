"""The commands of `asgi-realtime`."""

from __future__ import annotations

from pathlib import Path

import click

from asgi_realtime.cli.asyncapi import asyncapi
from asgi_realtime.cli.check import check
from asgi_realtime.cli.emit import emit
from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.files import write_file
from asgi_realtime.cli.gateways import gateway_named, packaged_gateways
from asgi_realtime.cli.kick import kick
from asgi_realtime.cli.monitoring import monitoring
from asgi_realtime.cli.nodes import nodes
from asgi_realtime.cli.tail import tail
from asgi_realtime.cli.token import token
from asgi_realtime.cli.users import users
from asgi_realtime.schema.typescript.files import file_name, typescript


@click.group(epilog=examples("asgi-realtime check"))
@click.version_option(package_name="asgi_realtime")
def main() -> None:
    """Tools for realtime gateways.

    The settings are read from the environment variables that the app reads too.

    Exit codes: 0 fine, 1 problems found or refused, 2 wrong usage.
    """


@main.command(epilog=examples("asgi-realtime types app.gateways:ChatRoom --output web/src/events"))
@click.argument("gateways", nargs=-1, metavar="[MODULE:GATEWAY]...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY|FILE.ts",
    help="Directory for one file per gateway, or the file for a single gateway. Default: print.",
)
def types(gateways: tuple[str, ...], output: Path | None) -> None:
    """Write TypeScript types of the events of gateways.

    MODULE:GATEWAY is a gateway class or instance. Default: all gateways of the package.
    """
    found = [gateway_named(name) for name in gateways] or packaged_gateways()
    to_file = output is not None and output.suffix == ".ts"
    if to_file and len(found) > 1:
        raise click.BadParameter("one file cannot hold several gateways: name a directory")
    for gateway in found:
        name = file_name(gateway)
        try:
            text = typescript(gateway)
        except (TypeError, ValueError) as error:
            raise click.ClickException(f"{name}: {error}") from None
        if output is None:
            click.echo(text if len(found) == 1 else f"// {name}\n{text}", nl=gateway is not found[-1])
        else:
            write_file(text, output if to_file else output / name)


main.add_command(asyncapi)
main.add_command(check)
main.add_command(emit)
main.add_command(kick)
main.add_command(monitoring)
main.add_command(nodes)
main.add_command(tail)
main.add_command(token)
main.add_command(users)
