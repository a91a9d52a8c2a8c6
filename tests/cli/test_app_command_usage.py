"""Wrong usage of the commands for a running app, which none of them sends anywhere."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from asgi_realtime.cli.commands import main


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("users ann --after bob", "--after is for the list"),
        ("users --limit 0", "--limit"),
        (f"users {' '.join(map(str, range(101)))}", "name at most 100 users"),
        ("kick", "name one of USER, --connection and --room"),
        ("kick ann --room lobby", "name one of USER, --connection and --room"),
        ("kick --room lobby --revoke", "--revoke is for a USER, on all gateways"),
        ("kick ann --gateway / --revoke", "--revoke is for a USER, on all gateways"),
        ("kick ann --code 1006", "write 1000 to 1003, 1007 to 1014, or 3000 to 4999"),
        ("kick ann --timeout 0", "--timeout"),
        ("tail", "say what to follow: --room, --user or --all"),
        ("tail --all --since e-1", "name it with --gateway"),
        ("tail --all --since e-1 --gateway / --gateway /x", "name it with --gateway"),
        ("tail --all --since yesterday --gateway /", "yesterday is no position"),
        ("nodes now", "unexpected extra argument"),
    ],
)
def test_wrong_usage_is_refused_before_redis_is_needed(arguments: str, message: str) -> None:
    done = CliRunner(env={"MEW_REDIS_URL": None}).invoke(main, arguments.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr
    assert "MEW_REDIS_URL" not in done.stderr.partition("Error: ")[2]


@pytest.mark.parametrize("payload", ["{", '"\udcff"', "[" * 5000 + "]" * 5000], ids=["no JSON", "no UTF-8", "deep"])
def test_a_payload_that_cannot_be_read_is_wrong_usage(payload: str) -> None:
    done = CliRunner().invoke(main, ["emit", "--all", "/", "news", payload])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "Invalid value for 'JSON'" in done.stderr
