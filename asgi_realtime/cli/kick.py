"""`asgi-realtime kick`: disconnect clients of a running app, and confirm that they are gone."""

from __future__ import annotations

import asyncio
import sys
from typing import Final

import click

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.kick_targets import OneConnection, Target, TheRoom, TheUser
from asgi_realtime.cli.output import print_json
from asgi_realtime.cli.reaching import console_option, running_app
from asgi_realtime.cli.running_app import print_incomplete, run
from asgi_realtime.values.close_codes import may_be_sent

ASK_EVERY: Final = 0.1
"""Seconds between two questions whether the connections are gone."""


@click.command(
    epilog=examples(
        "asgi-realtime kick ann --revoke --reason 'account closed'",
        "asgi-realtime kick --room lobby --gateway /chat --code 1012 --yes",
    )
)
@click.argument("user", required=False)
@click.option("--connection", metavar="ID", help="Disconnect this connection only, as `users USER` shows it.")
@click.option("--room", help="Disconnect all who are in this room.")
@click.option("--gateway", metavar="NAME", help="On this gateway only: its namespace or path. Default: on all.")
@click.option("--reason", default="disconnected", show_default=True, help="What clients are told.")
@click.option(
    "--code",
    type=int,
    default=1008,
    show_default=True,
    help="The close code. After 1000 and 1008 clients should stay away, after others come back.",
)
@click.option("--revoke", is_flag=True, help="Also refuse all tokens of USER that were issued until now.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=600),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long to wait until they are gone.",
)
@click.option("--yes", is_flag=True, help="Do not ask first. Without a terminal nothing is asked.")
@console_option
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def kick(
    user: str | None,
    connection: str | None,
    room: str | None,
    gateway: str | None,
    reason: str,
    code: int,
    revoke: bool,
    timeout: float,
    yes: bool,
    console: str | None,
    as_json: bool,
) -> None:
    """Disconnect USER, a connection or a room on all processes, and wait until they are gone.

    Clients may connect again at once, unless --revoke or your authenticator refuses them. MEW_REDIS_URL and the other
    variables are those of the app.

    Exit codes: 0 they are gone, 1 they are not, or there were none, 2 wrong usage, 75 Redis or the console did not
    answer.
    """
    if sum(each is not None for each in (user, connection, room)) != 1:
        raise click.UsageError("name one of USER, --connection and --room")
    if revoke and (user is None or gateway is not None):
        raise click.UsageError("--revoke is for a USER, on all gateways")
    if not may_be_sent(code):
        raise click.BadParameter("write 1000 to 1003, 1007 to 1014, or 3000 to 4999", param_hint="'--code'")
    target: Target
    if user is not None:
        target = TheUser(user, gateway, revoke=revoke)
    else:
        target = TheRoom(room, gateway) if room is not None else OneConnection(connection or "", gateway)
    if not yes and sys.stdin.isatty():
        click.confirm(f"Disconnect {run(_describe(target, console))}?", abort=True, err=True)
    raise SystemExit(run(_kick(target, code, reason, timeout, console, as_json)))


async def _describe(target: Target, console: str | None) -> str:
    async with running_app(console) as app:
        found = await target.find(app)
        return f"{target} ({_count(found.number)}{', and refuse the tokens' if target.revoke else ''})"


async def _kick(target: Target, code: int, reason: str, timeout: float, console: str | None, as_json: bool) -> int:
    loop = asyncio.get_running_loop()
    async with running_app(console) as app:
        before = await target.find(app)
        if not before.number and before.complete and not target.revoke:
            raise click.ClickException(f"{target} has no connection")
        await target.disconnect(app, code, reason)
        until = loop.time() + timeout
        while True:
            now = await target.find(app)
            left = now.left_of(before)
            if loop.time() > until or (not left and now.complete):
                break
            await asyncio.sleep(ASK_EVERY)
    if as_json:
        print_json(
            {
                "before": before.number,
                "left": left,
                "revoked": target.revoke,
                "complete": now.complete,
                "missing": now.missing,
            }
        )
    else:
        revoked = "; the tokens are refused" if target.revoke else ""
        click.echo(f"{target}: {_count(before.number)} before, {left} left{revoked}")
        if not now.complete:
            print_incomplete(now.missing)
    return 0 if not left and now.complete else 1


def _count(number: int) -> str:
    return f"{number} connection{'' if number == 1 else 's'}"
