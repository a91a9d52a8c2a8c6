"""`python -m asgi_realtime client`: write typed Python clients."""

from __future__ import annotations

from pathlib import Path

import click

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.generated_files import make_files
from asgi_realtime.schema.python.files import file_name, python_client


@click.command(
    epilog=examples(
        "asgi-realtime client app.gateways:ChatRoom --output clients",
        "asgi-realtime client app.gateways:ChatRoom --output clients --check",
    )
)
@click.argument("gateways", nargs=-1, metavar="[MODULE:GATEWAY]...")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIRECTORY|FILE.py",
    help="Directory for one module per gateway, or the file for a single gateway. Default: print.",
)
@click.option(
    "--host-type",
    "host_types",
    multiple=True,
    metavar="NAME=MODULE:TYPE",
    help="Where a type of the application is that the declarations only name. May be repeated. Default: Any.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a file is not what would be written.")
def client(gateways: tuple[str, ...], output: Path | None, host_types: tuple[str, ...], check: bool) -> None:
    """Write a Python module with a typed client of each gateway.

    The modules need asgi_realtime.client, and aiohttp for Socket.IO (the extra client).

    MODULE:GATEWAY is a gateway class or instance. Default: all gateways of the package.
    """
    imported = dict(map(_host_type, host_types))
    make_files(
        gateways,
        output,
        check=check,
        comment="#",
        file_name=file_name,
        text_of=lambda gateway: python_client(gateway, imported),
    )


def _host_type(text: str) -> tuple[str, str]:
    name, _, place = text.partition("=")
    module, _, attribute = place.partition(":")
    if not (name.isidentifier() and attribute.isidentifier() and all(map(str.isidentifier, module.split(".")))):
        raise click.BadParameter(f"{text}: write NAME=MODULE:TYPE, such as Message=app.messages:Message")
    return name, place
