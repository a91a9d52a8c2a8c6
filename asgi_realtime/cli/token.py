"""`asgi-realtime token`: make tokens, and find out why a token is refused."""

from __future__ import annotations

import asyncio
import re
import sys
import time
from typing import Any

import click
import jwt
import msgspec

from asgi_realtime.auth.create_token import signed_token
from asgi_realtime.cli.app_settings import RANDOM_SECRET, app_settings, has_random_secret
from asgi_realtime.cli.examples import examples
from asgi_realtime.cli.output import BAD, GOOD, print_json, print_table
from asgi_realtime.cli.times import read_duration
from asgi_realtime.cli.token_report import inspect_token
from asgi_realtime.errors import ConfigurationError

_LARGEST = 1_000_000
"""Most bytes that are read from the standard input: far more than any server accepts as a header."""


@click.group()
def token() -> None:
    """Make a token, or find out why one is refused."""


@token.command(
    epilog=examples(
        "asgi-realtime token make ann --name Ann --ttl 12h",
        """asgi-realtime token make 42 --claims '{"roles": ["admin"]}'""",
    )
)
@click.argument("user")
@click.option("--name", help="The claim name, which clients show.")
@click.option(
    "--ttl", default="1h", metavar="TIME", show_default=True, help="How long it is valid: 90s, 15m, 12h, 7d or never."
)
@click.option("--claims", metavar="JSON", help="Further claims, a JSON object. They replace those made here.")
@click.option("--json", "as_json", is_flag=True, help="Print the token with its algorithm and its expiry as JSON.")
def make(user: str, name: str | None, ttl: str, claims: str | None, as_json: bool) -> None:
    """Make a token of the user id USER, signed with MEW_JWT_SECRET.

    It has the audience and the issuer of the settings, and their first algorithm. For development, tests and support:
    anyone who has the secret can act as any user. Without the secret, as with MEW_JWKS_URL, no token can be made.
    """
    try:
        expires_in = read_duration(ttl)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--ttl'") from None
    added = {} if name is None else {"name": name}
    added |= _object(claims)
    settings = app_settings()
    if has_random_secret(settings):
        raise click.ClickException(RANDOM_SECRET)
    try:
        made = signed_token(user, settings, added, expires_in=expires_in)
    except (ConfigurationError, TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if as_json:
        expires_at = jwt.decode(made, options={"verify_signature": False}).get("exp")
        print_json({"token": made, "algorithm": settings.algorithms[0], "expires_at": expires_at})
    else:
        click.echo(made)


def _object(text: str | None) -> dict[str, Any]:
    try:
        return {} if text is None else msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError) as error:  # no JSON, no UTF-8, or too deep
        raise click.BadParameter(f"{error}; write a JSON object: '{{\"team\": 7}}'", param_hint="'--claims'") from None


@token.command(
    name="inspect",
    epilog=examples(
        "asgi-realtime token make ann | asgi-realtime token inspect", "asgi-realtime token inspect < token.txt"
    ),
)
@click.argument("token", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print everything as JSON.")
def inspect(token: str | None, as_json: bool) -> None:
    """Show what is in TOKEN, and whether the app accepts it: if not, why, and what to do.

    Without TOKEN it is read from the standard input, where no list of processes and no shell history shows it.
    Revocations are not checked.

    Exit codes: 0 valid, 1 not valid, 2 wrong usage.
    """
    if token is None:
        token = sys.stdin.buffer.read(_LARGEST).decode("utf-8", "replace")
    text = re.sub(r"^bearer(\s+|$)", "", token.strip(), flags=re.IGNORECASE)
    if not text:
        raise click.UsageError("there is no token; pass it as the argument or to the standard input")
    settings = app_settings()
    report = asyncio.run(
        inspect_token(text, settings, unverifiable=RANDOM_SECRET if has_random_secret(settings) else None)
    )
    if as_json:
        print_json(msgspec.to_builtins(report))
    else:
        rows = report.rows(time.time())
        print_table(("", ""), rows, styles=[GOOD if report.valid else BAD, *[""] * (len(rows) - 1)])
    raise SystemExit(0 if report.valid else 1)
