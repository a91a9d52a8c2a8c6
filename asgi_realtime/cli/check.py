"""`asgi-realtime check`: what is wrong with the configuration of the app."""

from __future__ import annotations

import asyncio
import dataclasses

import click

from asgi_realtime.checks.problem import Check
from asgi_realtime.checks.run import run_checks
from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.output import BAD, GOOD, print_json, print_table, progress
from asgi_realtime.settings import environment


@click.command(
    epilog=examples("asgi-realtime check --production", "asgi-realtime check --connections 20000 --json"),
)
@click.option(
    "--production/--development", default=None, help="What the app is for. Default: production, unless MEW_DEV is on."
)
@click.option(
    "--without-jwt-key", is_flag=True, help="Every gateway has an authenticator of its own: no key is needed."
)
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    metavar="N",
    help="Clients that one process must be able to serve. Default: MEW_SESSIONS, if it is set.",
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0.1, max=60),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="Most time for the keys, and for Redis.",
)
@click.option("--json", "as_json", is_flag=True, help="Print all checks and problems as JSON.")
def check(
    production: bool | None, without_jwt_key: bool, connections: int | None, timeout: float, as_json: bool
) -> None:
    """Report each problem of the configuration, with its variable and what to do.

    Checks the variables, the keys, the allowed origins, limits, open files and the versions of packages, fetches the
    keys of MEW_JWKS_URL, and runs every command that the app needs in the Redis of MEW_REDIS_URL. Nothing is changed.
    """
    checks = asyncio.run(
        run_checks(
            environment(),
            production=production,
            needs_jwt_key=not without_jwt_key,
            connections=connections,
            timeout=timeout,
            progress=progress,
        )
    )
    problems = [problem for each in checks for problem in each.problems]
    if as_json:
        print_json({"fine": not problems, "checks": [dataclasses.asdict(each) for each in checks]})
    else:
        _print(checks)
    raise SystemExit(1 if problems else 0)


def _print(checks: list[Check]) -> None:
    print_table(
        ("check", "", "found"),
        [(each.name, _count(len(each.problems)), each.result) for each in checks],
        styles=[BAD if each.problems else GOOD for each in checks],
    )
    problems = [problem for each in checks for problem in each.problems]
    click.echo()
    if problems:
        print_table(("variable", "problem, and what to do"), [(each.variable, each.text) for each in problems])
    else:
        click.echo("No problems found.")


def _count(problems: int) -> str:
    return "ok" if not problems else f"{problems} problem{'' if problems == 1 else 's'}"
