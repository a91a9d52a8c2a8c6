"""`asgi-realtime users`: who is online in a running app, and where."""

from __future__ import annotations

import asyncio
import shlex
from collections.abc import Sequence
from typing import Any, Final

import click

from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.output import print_json, print_table
from asgi_realtime.cli.reaching import console_option, running_app
from asgi_realtime.cli.running_app import RunningApp, print_incomplete, run

MOST_NAMED: Final = 100
"""Most users in one call. Each process is asked about each of them, and answers 1000 questions in a second."""
AT_ONCE: Final = 200
"""Questions that are asked at the same time."""
PAGE: Final = 1_000
"""Users that are listed, unless --limit says another number."""


@click.command(
    epilog=examples(
        "asgi-realtime users --gateway /chat", "asgi-realtime users --after mike --limit 50", "asgi-realtime users ann"
    )
)
@click.argument("users", nargs=-1, metavar="[USER]...")
@click.option(
    "--gateway",
    "gateways",
    multiple=True,
    metavar="NAME",
    help="Only this gateway: its namespace or path. May be repeated. Default: all gateways.",
)
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=PAGE,
    show_default=True,
    metavar="N",
    help="Most users that are listed.",
)
@click.option("--after", metavar="USER", help="List the users who come after this one: the next page.")
@console_option
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def users(
    users: tuple[str, ...],
    gateways: tuple[str, ...],
    limit: int,
    after: str | None,
    console: str | None,
    as_json: bool,
) -> None:
    """List who is online, or show the connections of each USER and its process.

    The list is sorted by user id, and is that of all processes. MEW_REDIS_URL and the other variables are those of the
    app.

    Exit codes: 0 shown, 1 not all processes have answered, or none has, 2 wrong usage, 75 Redis or the console did
    not answer.
    """
    if not users:
        run(_list(gateways, limit, after, console, as_json))
    elif after is not None:
        raise click.UsageError("--after is for the list: name no user")
    elif len(users) > MOST_NAMED:
        raise click.UsageError(f"name at most {MOST_NAMED} users")
    else:
        raise SystemExit(run(_show(tuple(dict.fromkeys(users)), gateways, console, as_json)))


async def _list(named: Sequence[str], limit: int, after: str | None, console: str | None, as_json: bool) -> None:
    online: dict[str, list[str]] = {}
    async with running_app(console) as app:
        for gateway in await app.gateways(named):
            for user in await app.online_users(gateway):
                online.setdefault(user, []).append(gateway)
    later = sorted(user for user in online if after is None or user > after)
    page, rest = later[:limit], later[limit:]
    if as_json:
        found = [{"user": user, "gateways": online[user]} for user in page]
        print_json({"total": len(online), "users": found, "next": page[-1] if rest else None})
        return
    if page:
        print_table(("user", "gateways"), [(user, ", ".join(online[user])) for user in page])
    note = f"{len(page)} of {len(online)} users" if len(page) < len(online) else f"{len(online)} online"
    click.echo(f"{note}; the next ones: --after {shlex.quote(page[-1])}" if rest else note, err=True)


async def _show(users: Sequence[str], named: Sequence[str], console: str | None, as_json: bool) -> int:
    async with running_app(console) as app:
        found, missing = await _connections(app, users, await app.gateways(named))
    if as_json:
        shown = [{"user": user, "connections": found[user]} for user in users]
        print_json({"complete": missing is None, "missing": missing or (), "users": shown})
    else:
        rows = [(user, *each.values()) for user in users for each in found[user] or [_NONE]]
        print_table(("user", "connection", "gateway", "process"), rows)
        if missing is not None:
            print_incomplete(missing)
    return 0 if missing is None else 1


_NONE = {"id": "not connected", "gateway": "", "node": ""}


async def _connections(
    app: RunningApp, users: Sequence[str], gateways: Sequence[str]
) -> tuple[dict[str, list[dict[str, Any]]], tuple[str, ...] | None]:
    """The connections of each user, and the processes that did not answer. None: the answers are complete."""
    found: dict[str, list[dict[str, Any]]] = {user: [] for user in users}
    missing: tuple[str, ...] | None = None
    pairs = [(user, gateway) for gateway in gateways for user in users]
    for start in range(0, len(pairs), AT_ONCE):
        some = pairs[start : start + AT_ONCE]
        answers = await asyncio.gather(*(app.connections(user, gateway) for user, gateway in some))
        for (user, gateway), answer in zip(some, answers, strict=True):
            found[user] += [{"id": each.id, "gateway": gateway, "node": each.node} for each in answer.value]
            if not answer.complete:
                missing = answer.missing
    return found, missing
