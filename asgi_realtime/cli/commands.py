"""The commands of `asgi-realtime`."""

from __future__ import annotations

import click

from asgi_realtime.cli.asyncapi import asyncapi
from asgi_realtime.cli.check import check
from asgi_realtime.cli.emit import emit
from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.kick import kick
from asgi_realtime.cli.monitoring import monitoring
from asgi_realtime.cli.nodes import nodes
from asgi_realtime.cli.python_client import client
from asgi_realtime.cli.tail import tail
from asgi_realtime.cli.token import token
from asgi_realtime.cli.typescript_types import types
from asgi_realtime.cli.users import users


@click.group(epilog=examples("asgi-realtime check"))
@click.version_option(package_name="asgi_realtime")
def main() -> None:
    """Tools for realtime gateways.

    The settings are read from the environment variables that the app reads too.

    Exit codes: 0 fine, 1 problems found or refused, 2 wrong usage.
    """


main.add_command(asyncapi)
main.add_command(check)
main.add_command(client)
main.add_command(emit)
main.add_command(kick)
main.add_command(monitoring)
main.add_command(nodes)
main.add_command(tail)
main.add_command(token)
main.add_command(types)
main.add_command(users)
