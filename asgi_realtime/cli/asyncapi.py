"""`python -m asgi_realtime asyncapi`: describe gateways in an AsyncAPI document."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from asgi_realtime.cli.asyncapi_diff import diff
from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.files import write_file
from asgi_realtime.cli.gateways import gateway_named, packaged_gateways
from asgi_realtime.schema.asyncapi.document import asyncapi as document_of


class _WithDefault(click.Group):
    """A group that is a command itself, unless the first argument is one of its commands."""

    allow_interspersed_args = True

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments, of this command or of the one that is named."""
        if args and args[0] in self.commands:
            return self.commands[args[0]].make_context(f"{info_name} {args[0]}", args[1:], parent, **extra)
        return super().make_context(info_name, args, parent, **extra)


@click.group(
    cls=_WithDefault,
    invoke_without_command=True,
    subcommand_metavar="",
    epilog=examples("asgi-realtime asyncapi app.gateways:chat --server wss://example.com --output asyncapi.json"),
)
@click.argument("gateways", nargs=-1, metavar="[MODULE:GATEWAY]...")
@click.option("--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: print.")
@click.option("--title", default="Realtime events", show_default=True, help="What the document is called.")
@click.option("--version", default="1.0.0", show_default=True, help="The version of the application's events.")
@click.option("--server", metavar="URL", help="Such as wss://example.com. Default: a placeholder for the host.")
@click.option("--socketio-path", default="/socket.io", show_default=True, help="As MEW_SOCKETIO_PATH of the app.")
def asyncapi(
    gateways: tuple[str, ...], output: Path | None, title: str, version: str, server: str | None, socketio_path: str
) -> None:
    """Write one AsyncAPI 3.0 document (JSON) of the events of gateways.

    MODULE:GATEWAY is a gateway class or instance. Default: all gateways of the package.
    """
    found = [gateway_named(name) for name in gateways] or packaged_gateways()
    try:
        document = document_of(
            found, title=title, version=version, server=server, socketio_path="/" + socketio_path.strip("/")
        )
    except (TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    text = json.dumps(document, ensure_ascii=False, indent=2) + "\n"
    if output is None:
        click.echo(text, nl=False)
    else:
        write_file(text, output)


asyncapi.add_command(diff)
