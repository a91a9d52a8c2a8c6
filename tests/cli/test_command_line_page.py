"""docs/reference/command-line.md lists every command and what it prints. Command lines on all pages can be parsed."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import jwt
import pytest
from click.testing import CliRunner

from asgi_realtime.cli.commands import main
from tests.support.paths import DOCS
from tests.support.redis_server import redis_server

SECRET = "kX3-vQ8_zR5tY1uW7pL2mN9bC4dF6gH0"
PAGE = (DOCS / "reference/command-line.md").read_text(encoding="utf-8")


def leaves(group: click.Group, *above: str) -> Iterator[tuple[str, click.Command]]:
    """The commands that do something, by their names."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            if command.invoke_without_command:
                yield " ".join((*above, name)), command
            yield from leaves(command, *above, name)
        else:
            yield " ".join((*above, name)), command


COMMANDS = dict(leaves(main))


def help_of(name: str) -> str:
    arguments = [*name.split(), "--help"]
    return CliRunner().invoke(main, arguments, prog_name="asgi-realtime", terminal_width=80).output


def test_the_page_shows_the_help_of_every_command() -> None:
    shown = re.findall(r"^```text\n\$ asgi-realtime ([\w ]+) --help\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert dict(shown) == {name: help_of(name) for name in COMMANDS}


def test_the_table_lists_every_command_in_the_order_of_the_page() -> None:
    listed = re.findall(r"^\| \[`([\w ]+)`\]\(#", PAGE, re.MULTILINE)
    assert listed == re.findall(r"^## `([\w ]+)`$", PAGE, re.MULTILINE)
    assert sorted(listed) == sorted(COMMANDS)


def test_every_command_has_an_example_of_itself_and_explains_its_options() -> None:
    for name, command in COMMANDS.items():
        assert f"  asgi-realtime {name} " in str(command.epilog), name
        for parameter in command.params:
            assert not isinstance(parameter, click.Option) or parameter.help, f"{name}: {parameter.name}"


def command_lines() -> list[tuple[str, str]]:
    """The command lines that pages and epilogs show: where, and the line."""
    pages = [DOCS.parent / "README.md", *sorted(DOCS.glob("*.md"))]
    found = [
        (page.name, line)
        for page in pages
        for block in re.findall(r"^```console\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)
        for line in re.findall(r"^\$ (.*\basgi-realtime .+)$", block, re.MULTILINE)
    ]
    shown = [*COMMANDS.items(), ("", main)]
    return found + [(name, line) for name, command in shown for line in str(command.epilog).splitlines()[2:]]


def parse(words: list[str]) -> None:
    """Parse the words of a command line as its command does, without running it."""
    command: click.Command = main
    while isinstance(command, click.Group) and not words[0].startswith("-"):
        if command.invoke_without_command and words[0] not in command.commands:
            break  # the word is an argument of the group itself
        command = command.commands[words.pop(0)]
    with contextlib.suppress(click.exceptions.Exit):  # --help has been printed
        command.make_context("asgi-realtime", words)


@pytest.mark.parametrize(("where", "line"), command_lines())
def test_every_command_line_that_is_shown_can_be_parsed(
    where: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for file in re.findall(r"\b[\w-]+\.json\b", line):
        (tmp_path / file).write_text("{}")
    calls = re.findall(r"\basgi-realtime ((?:'[^']*'|[^|<)'])+)", line)
    assert calls
    for call in calls:
        parse(shlex.split(call))


def shown_output(of: str) -> list[str]:
    """The lines that the page shows below a command line that ends so."""
    [block] = re.findall(rf"^```console\n\$ [^\n]*{re.escape(of)}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    return str(block).splitlines()


def without_changes(lines: list[str]) -> list[str]:
    """The lines without what depends on the time and the machine."""
    return [re.sub(r"\d+ \w+ ago$|at most \d+$", "", line) for line in lines]


def test_the_page_shows_what_inspect_prints() -> None:
    token = jwt.encode({"iat": 1795940100, "sub": "ann", "exp": 1795943700}, SECRET, algorithm="HS256")
    done = CliRunner(env={"MEW_JWT_SECRET": SECRET}).invoke(main, ["token", "inspect"], input=token)
    shown = shown_output("asgi-realtime token inspect < token.txt")
    assert without_changes(done.stdout.splitlines()) == without_changes(shown)


def test_the_page_shows_what_check_prints() -> None:
    with redis_server(("maxmemory", "100mb"), ("maxmemory-policy", "allkeys-lru")) as server:
        environ = {"MEW_JWT_SECRET": SECRET, "MEW_CORS_ORIGINS": "http://app.example.com", "MEW_REDIS_URL": server.url}
        done = CliRunner(env=environ).invoke(main, ["check"])
    assert without_changes(done.stdout.splitlines()) == without_changes(shown_output("asgi-realtime check"))
