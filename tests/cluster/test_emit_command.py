"""`asgi-realtime emit` in a process of its own."""

from __future__ import annotations

import json

import pytest

from tests.support.cluster import Cluster
from tests.support.command_line import command


async def test_an_event_from_a_terminal_reaches_room_user_and_all(cluster: Cluster) -> None:
    node = await cluster.start()
    ada, bob = await node.connect("ada"), await node.connect("bob")
    await ada.call("join", "lobby")
    for arguments in (
        ["--room", "lobby", "/", "news", '{"n": 1}'],
        ["--user", "ada", "--user", "bob", "/", "personal", '"you"', "--key", "k"],
        ["--user", "ada", "--user", "bob", "/", "personal", '"you"', "--key", "k"],
        ["--all", "tests.support.cluster_app:rooms", "everywhere", "null"],
        ["--all", "/", "end", "--volatile"],
    ):
        code, output, errors = await command(cluster.environ, "emit", "--json", *arguments)
        assert (code, errors) == (0, "")
        receipt = json.loads(output)
        assert (receipt["delivered_locally"], receipt["replicated"]) == (0, True)
    assert await command(cluster.environ, "emit", "--all", "--volatile", "/", "last") == (0, "sent\n", "")
    code, output, _ = await command(cluster.environ, "emit", "--room", "empty", "/", "news")
    assert (code, output.rpartition(" ")[0]) == (0, "sent; the position in the history is")
    for client in (ada, bob):
        await client.expect("last")
    assert [(each.event, each.args) for each in ada.events] == [
        ("news", [{"n": 1}]),
        ("personal", ["you"]),
        ("everywhere", [None]),
        ("end", []),
        ("last", []),
    ]
    assert [each.event for each in bob.events] == ["personal", "everywhere", "end", "last"]
    await ada.disconnect()
    await bob.disconnect()


@pytest.mark.parametrize(
    ("arguments", "code", "error"),
    [
        (["--all", "/", "news", "{1}"], 2, "JSON"),
        (["/", "news"], 2, "--room, --user and --all"),
        (["--all", "--room", "x", "/", "news"], 2, "--room, --user and --all"),
        (["--all", "here", "news"], 2, "here: write a name that begins with a slash, such as /chat, or MODULE:GATEWAY"),
        (["--all", "/", "news"], 75, "127.0.0.1:1"),
        (["--all", "/", "disconnect"], 75, "127.0.0.1:1"),
    ],
)
async def test_an_error_is_one_line_with_an_exit_code_of_its_kind(arguments: list[str], code: int, error: str) -> None:
    environ = {"MEW_REDIS_URL": "redis://127.0.0.1:1", "MEW_PUBLISH_TIMEOUT": "0.3"}
    found, output, errors = await command(environ, "emit", *arguments)
    assert (found, output) == (code, "")
    assert error in errors.splitlines()[-1]
    assert "Traceback" not in errors
    if code != 2:
        assert len(errors.splitlines()) == 1


async def test_a_refused_event_and_a_missing_redis_are_errors_with_exit_code_1(cluster: Cluster) -> None:
    code, _, errors = await command(cluster.environ, "emit", "--all", "/", "disconnect")
    assert (code, len(errors.splitlines())) == (1, 1)
    code, _, errors = await command({}, "emit", "--all", "/", "news")
    assert (code, len(errors.splitlines())) == (1, 1)
    assert "MEW_REDIS_URL" in errors
