"""How a command reaches the app: by the option `--console`, or else by Redis."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

import click

from asgi_realtime.cli.running_app import RunningApp
from asgi_realtime.cli.tail_receiver import TailReceiver

console_option = click.option(
    "--console",
    metavar="URL",
    envvar="ASGI_REALTIME_CONSOLE",
    show_envvar=True,
    help="Reach the app through its console at URL instead of Redis. The secret is MEW_CONSOLE_SECRET.",
)
"""The option of every command for a running app."""


def running_app(console: str | None, receiver: TailReceiver | None = None) -> AbstractAsyncContextManager[RunningApp]:
    """Reach the app until the block ends. `console`: the address of its console, or None for Redis.

    `receiver` gets what is followed.

    Raises:
        click.ClickException: the settings are wrong, or the console refuses the command.
        AppUnavailable: the console cannot be reached.
        BrokerUnavailable: Redis cannot be reached.
    """
    # Imported here: a command loads no client of Redis for the console, and none of WebSockets for Redis.
    if console is None:
        from asgi_realtime.cli.redis_app import redis_app

        return redis_app(receiver)
    from asgi_realtime.cli.console_app import console_app

    return console_app(console, receiver)
